"""A manifest's place in a file: a chunk of PNG, a segment of JPEG, a chunk of WebP (C2PA specification 2.x, § A.3)."""

from __future__ import annotations

import struct
import zlib

_LONGEST_SEGMENT = 0xFFFF - 10
_RIFF_HEADER = 8


def embed(file: bytes, kind: str, manifest: bytes, at: int) -> bytes:
    """A file of one of `KINDS` with the manifest at byte `at`, as it was before it was stripped.

    ValueError where a JPEG's manifest does not fit one segment: ours always do.
    """
    whole = file[:at] + _FRAMES[kind](manifest) + file[at:]
    if kind != "WEBP":
        return whole
    return whole[:4] + struct.pack("<I", len(whole) - _RIFF_HEADER) + whole[_RIFF_HEADER:]


def replace(file: bytes, kind: str, old: bytes, new: bytes) -> bytes:
    """The file with `new` in the place of its manifest `old`, which is as long."""
    start = file.index(old)
    end = start + len(old)
    if kind != "PNG":
        return file[:start] + new + file[end:]
    return file[: start - 8] + _png(new) + file[end + 4 :]


def _png(manifest: bytes) -> bytes:
    chunk = b"caBX" + manifest
    return struct.pack(">I", len(manifest)) + chunk + struct.pack(">I", zlib.crc32(chunk))


def _jpeg(manifest: bytes) -> bytes:
    if len(manifest) > _LONGEST_SEGMENT:
        raise ValueError("the manifest is longer than a segment")
    return b"\xff\xeb" + struct.pack(">H2sHI", len(manifest) + 10, b"JP", 1, 1) + manifest


def _webp(manifest: bytes) -> bytes:
    return b"C2PA" + struct.pack("<I", len(manifest)) + manifest + bytes(len(manifest) % 2)


_FRAMES = {"PNG": _png, "JPEG": _jpeg, "WEBP": _webp}
KINDS = frozenset(_FRAMES)
