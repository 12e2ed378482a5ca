"""What a policy says about the visible signature: the colour bar in a released picture's lower right corner."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from services.core.policy.fields import Section

Colour = Annotated[str, Field(pattern=r"^#[0-9a-f]{6}$")]


class SignatureRules(Section):
    """A row of squares, one a colour; the picture's shorter side is as long as `squares` of them."""

    show: bool = True
    squares: Annotated[int, Field(ge=16, le=256)] = 64
    palette: list[Colour] = Field(
        default=["#ffff66", "#42ffff", "#51da4c", "#ff6e3c", "#3c46ff"], min_length=1, max_length=8
    )
