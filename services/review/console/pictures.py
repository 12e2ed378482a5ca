"""Pictures of cases: blurred and grey as a rule, plain for a moment, on demand, and on record."""

from __future__ import annotations

import asyncio
import struct

import numpy as np
from PIL import Image, ImageFilter

from services.core.imaging import decode_rgb
from services.core.imaging_png import write_png

# What is left of a picture: its layout. Every detail narrower than a ninth of its longer side is gone.
_LONGEST, _RADIUS = 192, 11


def blur(png: bytes) -> bytes:
    """A PNG of ours as a small grey PNG, so blurred that shapes can be told and no more."""
    picture = Image.fromarray(decode_rgb(png))
    picture.thumbnail((_LONGEST, _LONGEST))
    grey = picture.convert("L").filter(ImageFilter.GaussianBlur(_RADIUS))
    return write_png(np.asarray(grey))


async def blurred(png: bytes) -> bytes:
    """`blur`, apart from the event loop."""
    return await asyncio.to_thread(blur, png)


def size(png: bytes) -> tuple[int, int]:
    """Width and height of a PNG of ours (W3C PNG: they are the first fields of its first chunk)."""
    width, height = struct.unpack_from(">II", png, 16)
    return int(width), int(height)
