"""Which image files are welcome, and where each ends: checks on bytes alone, before any decoder runs."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

ImageFormat = Literal["JPEG", "PNG", "WEBP", "GIF"]

ALLOWED = "JPEG, PNG, WebP and GIF of one frame are allowed"

# Entropy-coded data ends at the first FF that is neither stuffed (FF 00) nor a restart (FF D0 … D7).
_AFTER_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7]", re.DOTALL)
_LOWER = 0x61  # "a": a PNG chunk whose name begins in lower case may be left out
# No honest file has more chunks, segments or blocks; walking them must not take the time that decoding needs.
_MOST_PARTS = 1 << 17
# Every scan of a progressive JPEG goes over the whole picture; encoders make about ten.
_MOST_SCANS = 64


@dataclass(frozen=True, slots=True)
class Limits:
    """What is accepted: bytes of the file, pixels a side and in all; and what decoding it may take.

    Of a larger picture at most `kept_side` pixels a side are kept. A file that needs more than `cpu_seconds` is
    refused; `wall_seconds`, the start of a decoder among them, without so much work say that the machine is busy.
    Memory: see `imaging_worker`.
    """

    max_bytes: int = 16 * 1024 * 1024
    min_side: int = 8
    max_side: int = 8192
    max_pixels: int = 33_554_432
    kept_side: int = 2048
    cpu_seconds: float = 1.3
    wall_seconds: float = 1.6


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
    """Refuse a file that is cut short, animated, or that goes on after its picture (a polyglot).

    What hides inside a container (comments, private chunks) needs no check: re-encoding drops it.
    """
    end = _END_OF[kind](data)
    if end is None or end > len(data):
        raise Malformed(f"the {kind} file is cut short or damaged; a whole file is needed")
    rest = data[end:]
    if rest.strip(b"\x00") and not (kind == "JPEG" and _is_camera_extra(rest)):
        raise Malformed(f"{len(rest)} bytes follow the end of the {kind} picture; a file must hold one picture only")


def _is_camera_extra(rest: bytes) -> bool:
    """Phones append gain maps (a second JPEG) and motion clips (MP4) to photographs; these are dropped, not refused."""
    return rest.startswith(b"\xff\xd8\xff") or rest[4:8] == b"ftyp"


def _parts() -> Iterator[int]:
    """Counts the parts of one file; Malformed beyond what any honest file has."""
    yield from range(_MOST_PARTS)
    raise Malformed("the file is made of too many parts")


def _require_still(frames: int) -> None:
    if frames > 1:
        raise Malformed("animated pictures are not allowed; send one frame")


def _png_end(data: bytes) -> int | None:
    """One past the IEND chunk, by walking the chunks: IHDR first, IEND empty, checksums of all that decoding needs
    right (W3C PNG, sections 5.3 to 5.6); Pillow checks none of IDAT's.
    """
    if data[12:16] != b"IHDR":
        return None
    at, whole = 8, memoryview(data)
    for _ in _parts():
        length, name = int.from_bytes(data[at : at + 4]), data[at + 4 : at + 8]
        end = at + 12 + length
        if end > len(data) or (name == b"IEND" and length):
            return None
        if name[0] < _LOWER and zlib.crc32(whole[at + 4 : end - 4]) != int.from_bytes(data[end - 4 : end]):
            return None
        if name == b"IEND":
            return end
        if name == b"acTL":
            _require_still(int.from_bytes(data[at + 8 : at + 12]))
        at = end
    return None


def _webp_end(data: bytes) -> int | None:
    """One past the RIFF container, which its chunks must fill (WebP container specification)."""
    end, at, frames = 8 + int.from_bytes(data[4:8], "little"), 12, 0
    for _ in _parts():
        if at >= min(end, len(data)):
            break
        frames += data[at : at + 4] == b"ANMF"
        _require_still(frames)
        at += 8 + int.from_bytes(data[at + 4 : at + 8], "little")
        at += at & 1
    return end if at <= end + 1 else None


def _jpeg_end(data: bytes) -> int | None:
    """One past the EOI marker: segments are skipped by their length, entropy-coded data by its next real marker."""
    at, scans = 2, 0
    for _ in _parts():
        if at >= len(data) - 1 or data[at] != 0xFF:
            return None
        marker = data[at + 1]
        if marker == 0xD9:
            return at + 2
        if marker in (0x01, 0xFF) or 0xD0 <= marker <= 0xD7:  # TEM, fill and restart stand alone
            at += 1 if marker == 0xFF else 2
            continue
        at += 2 + int.from_bytes(data[at + 2 : at + 4])
        if marker == 0xDA:
            scans += 1
            if scans > _MOST_SCANS:
                raise Malformed(f"the JPEG file has more than {_MOST_SCANS} scans")
            following = _AFTER_SCAN.search(data, at)
            at = following.start() if following else len(data)
    return None


def _gif_end(data: bytes) -> int | None:
    """One past the trailer, by walking the blocks (GIF89a specification, sections 15–27)."""
    if len(data) < 13:
        return None
    at, frames, parts = 13 + _colour_table_bytes(data[10]), 0, _parts()
    for _ in parts:
        block = data[at] if at < len(data) else None
        if block == 0x3B:
            return at + 1
        if block == 0x2C and at + 10 <= len(data):  # image descriptor, colour table, LZW code size
            frames += 1
            _require_still(frames)
            at += 11 + _colour_table_bytes(data[at + 9])
        elif block == 0x21:  # extension and its label
            at += 2
        else:
            return None
        at = _after_sub_blocks(data, at, parts)
    return None


def _after_sub_blocks(data: bytes, at: int, parts: Iterator[int]) -> int:
    """One past the empty block that ends a chain of sub-blocks, which hold up to 255 bytes each."""
    for _ in parts:
        if at >= len(data) or not data[at]:
            break
        at += 1 + data[at]
    return at + 1


def _colour_table_bytes(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


_END_OF = {"JPEG": _jpeg_end, "PNG": _png_end, "WEBP": _webp_end, "GIF": _gif_end}
