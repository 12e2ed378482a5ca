"""Which image files are welcome, and where each ends: checks on bytes alone, before any decoder runs."""

from __future__ import annotations

import re
from typing import Literal

ImageFormat = Literal["JPEG", "PNG", "WEBP", "GIF"]

ALLOWED = "JPEG, PNG, WebP and GIF of one frame are allowed"

# Entropy-coded data ends at the first FF that is neither stuffed (FF 00) nor a restart (FF D0 … D7).
_AFTER_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7]", re.DOTALL)
_PNG_END = b"\x00\x00\x00\x00IEND\xaeB`\x82"


class Malformed(ValueError):
    """The bytes are not one whole picture of an allowed format; the message is fit for the sender."""


def recognise(data: bytes) -> ImageFormat:
    """The format that the first bytes announce; Malformed where it is none of the allowed."""
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "WEBP"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "GIF"
    raise Malformed(f"not a known picture; {ALLOWED}")


def require_whole(data: bytes, kind: ImageFormat) -> None:
    """Refuse a file that is cut short or that goes on after its picture (a polyglot), where the container tells.

    What hides inside a container (comments, private chunks) needs no check: re-encoding drops it.
    """
    end = _END_OF[kind](data)
    if end is None or end > len(data):
        raise Malformed(f"the {kind} file is cut short; a whole file is needed")
    rest = data[end:]
    if rest.strip(b"\x00") and not (kind == "JPEG" and _is_camera_extra(rest)):
        raise Malformed(f"{len(rest)} bytes follow the end of the {kind} picture; a file must hold one picture only")


def _is_camera_extra(rest: bytes) -> bool:
    """Phones append gain maps (a second JPEG) and motion clips (MP4) to photographs; these are dropped, not refused."""
    return rest.startswith(b"\xff\xd8\xff") or rest[4:8] == b"ftyp"


def _png_end(data: bytes) -> int | None:
    found = data.find(_PNG_END)
    return None if found < 0 else found + len(_PNG_END)


def _webp_end(data: bytes) -> int | None:
    return 8 + int.from_bytes(data[4:8], "little") if len(data) >= 12 else None


def _jpeg_end(data: bytes) -> int | None:
    """One past the EOI marker: segments are skipped by their length, entropy-coded data by its next real marker."""
    at = 2
    while at < len(data) - 1:
        marker = data[at + 1]
        if data[at] != 0xFF:
            return None
        if marker == 0xD9:
            return at + 2
        if marker in (0x01, 0xFF) or 0xD0 <= marker <= 0xD7:  # TEM, fill and restart stand alone
            at += 1 if marker == 0xFF else 2
            continue
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if marker == 0xDA:
            following = _AFTER_SCAN.search(data, at)
            at = following.start() if following else len(data)
    return None


def _gif_end(data: bytes) -> int | None:
    """One past the trailer, by walking the blocks (GIF89a specification, sections 15–27)."""
    if len(data) < 13:
        return None
    at = 13 + _colour_table_bytes(data[10])
    while at < len(data):
        block = data[at]
        if block == 0x3B:
            return at + 1
        if block == 0x2C and at + 10 <= len(data):  # image descriptor, colour table, LZW code size
            at += 11 + _colour_table_bytes(data[at + 9])
        elif block == 0x21:  # extension and its label
            at += 2
        else:
            return None
        while at < len(data) and data[at]:
            at += 1 + data[at]
        at += 1
    return None


def _colour_table_bytes(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


_END_OF = {"JPEG": _jpeg_end, "PNG": _png_end, "WEBP": _webp_end, "GIF": _gif_end}
