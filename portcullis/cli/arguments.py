"""Arguments that several commands share."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from portcullis.v1.checks_pb2 import ImageFormat


class FileFormat(StrEnum):
    """How pictures can be encoded."""

    PNG = "png"
    JPEG = "jpeg"
    WEBP = "webp"

    def proto(self) -> ImageFormat.ValueType:
        """The contract's value."""
        return ImageFormat.Value(f"IMAGE_FORMAT_{self.name}")


Account = Annotated[str, typer.Option(envvar="PORTCULLIS_ACCOUNT", help="The end user for whom this is, an opaque id.")]
Picture = Annotated[
    Path, typer.Argument(exists=True, dir_okay=False, readable=True, help="JPEG, PNG, WebP or a GIF of one frame.")
]
Mask = Annotated[
    Path, typer.Option(exists=True, dir_okay=False, readable=True, help="White where the picture may change.")
]
Negative = Annotated[str, typer.Option("--negative", help="What the picture shall not show; it counts as absent.")]
Json = Annotated[bool, typer.Option("--json", help="Print the whole answer as JSON.")]
DEFAULT_ACCOUNT = "cli"
