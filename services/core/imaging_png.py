"""PNG files of our own: one filter and the quickest good compressor, since every picture is written on every check."""

from __future__ import annotations

import struct

import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GREY, _RGB, _RGBA, _UP = 0, 2, 6, 2
# ISA-L's level 1 makes of a photograph what zlib's level 1 does, in an eighth of the time.
_LEVEL = 1


def write_png(pixels: NDArray[np.uint8]) -> bytes:
    """A PNG file (W3C PNG, third edition) without metadata.

    `pixels`: (height, width, 3) sRGB, (height, width, 4) with alpha, or (height, width) grey, uint8. Every row is
    stored as its difference to the row above (filter type "Up"): nearly as small as choosing a filter for each row, and
    one subtraction.
    """
    height, width, *bands = pixels.shape
    kind = {(): _GREY, (3,): _RGB, (4,): _RGBA}[tuple(bands)]
    rows = pixels.reshape(height, -1)
    filtered = np.empty((height, 1 + rows.shape[1]), np.uint8)
    filtered[:, 0] = _UP
    filtered[0, 1:] = rows[0]
    np.subtract(rows[1:], rows[:-1], out=filtered[1:, 1:])
    header = struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0)
    body = isal_zlib.compress(filtered, _LEVEL)
    return _SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", body) + _chunk(b"IEND", b"")


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", isal_zlib.crc32(body, isal_zlib.crc32(name)))
