"""What can be set at the generator."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from services.core.config import RoomSettings


class GeneratorSettings(RoomSettings):
    """Settings of the generator."""

    model_config = SettingsConfigDict(env_prefix="PORTCULLIS_GENERATOR_", protected_namespaces=())

    model: str = Field("models/scenes", description="Model folder in diffusers' layout; models/… ships with the house.")
    model_sha256: str = Field(
        "", description="Digest of a model that does not ship with the house, as the generator prints it when unset."
    )
    device: str = Field("auto", description='"cpu", "cuda:0" …; "auto" takes the first GPU, else the CPU.')
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto", description='Type of the weights; "auto" is float32 on a CPU, bfloat16 on a GPU.'
    )
    compile: bool = Field(
        False, description="Compile the network's repeated blocks, for each batch size anew: minutes once, then faster."
    )
    threads: int = Field(
        1, ge=1, le=256, description="CPU threads of the rendering; more than there are idle cores make it much slower."
    )
    queue_limit: int = Field(16, ge=1, le=10_000, description="Requests that may wait; more are refused.")
    queue_megapixels: float = Field(
        64.0,
        gt=0,
        le=100_000,
        description="Megapixels of pictures that may be asked for in the line; more are refused.",
    )
