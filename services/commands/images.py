"""`portcullis images`: withdraw a released picture, or take that back."""

from __future__ import annotations

import asyncio
import getpass
from typing import Annotated
from uuid import UUID

import typer
from rich.console import Console

from services.commands.plain import told_plainly
from services.core.config import HouseSettings
from services.core.errors import InvalidInput
from services.core.store import audit
from services.core.store.database import single_transaction
from services.review.withdrawing import set_withdrawn

app = typer.Typer(help="Withdraw released pictures, or take that back.", no_args_is_help=True)
out = Console(highlight=False)

Image = Annotated[str, typer.Argument(help="The picture's id in the registry, as `portcullis inspect` shows it.")]
Reason = Annotated[str, typer.Option(help="Why; it is recorded, with who did it.")]
LONGEST_REASON = 2_000


@app.command()
def withdraw(image: Image, reason: Reason) -> None:
    """Withdraw a picture: inspections say so, and no upload of it or of a copy gets in.

    Example: portcullis images withdraw 3f0c… --reason "order of the court of Ghent, 26/117"
    """
    _change(image, reason, withdrawn=True)
    out.print(f"{image} is withdrawn")


@app.command()
def restore(image: Image, reason: Reason) -> None:
    """Take a withdrawal back. Stored answers that held the picture do not come back.

    Example: portcullis images restore 3f0c… --reason "the order was lifted"
    """
    _change(image, reason, withdrawn=False)
    out.print(f"{image} stands again")


def _change(image: str, reason: str, *, withdrawn: bool) -> None:
    with told_plainly():
        try:
            image_id = UUID(image)
        except ValueError:
            raise InvalidInput("image", "must be the UUID of a registered picture") from None
        if not reason.strip() or len(reason) > LONGEST_REASON or "\0" in reason:
            raise InvalidInput("reason", f"1 to {LONGEST_REASON} characters are needed, none of them NUL")
        asyncio.run(_set(image_id, reason, withdrawn=withdrawn))


async def _set(image_id: UUID, reason: str, *, withdrawn: bool) -> None:
    """Recorded before it is done, so that nothing is done that is not recorded."""
    house = HouseSettings()
    action = "image.withdraw" if withdrawn else "image.restore"
    async with single_transaction(house.database()) as conn:
        await audit.append(conn, getpass.getuser(), action, str(image_id), reason=reason)
    await set_withdrawn(house, image_id, withdrawn=withdrawn)
