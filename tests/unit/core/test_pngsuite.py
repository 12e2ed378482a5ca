"""The PNG test pictures of Willem van Schaik and libpng's damaged files (tests/data/README.md)."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from services.core import imaging
from services.core.errors import InvalidInput

_DATA = Path(__file__).parents[2] / "data" / "pngsuite.zip"
with zipfile.ZipFile(_DATA) as archive:
    FILES = {name: archive.read(name) for name in archive.namelist() if name.endswith(".png")}
VALID = {Path(name).stem: data for name, data in FILES.items() if name.startswith("valid/")}
CRASHERS = {Path(name).stem: data for name, data in FILES.items() if name.startswith("crashers/")}


def test_every_valid_file_opens_in_its_size() -> None:
    sizes = {name: struct.unpack(">II", data[16:24]) for name, data in VALID.items()}

    opened = {name: imaging.sanitise(data) for name, data in VALID.items()}

    assert {name: (result.width, result.height) for name, result in opened.items()} == sizes


@pytest.mark.parametrize("name", [name for name in VALID if f"i{name}" in VALID])
def test_an_interlaced_file_is_the_same_picture(name: str) -> None:
    plain, interlaced = imaging.sanitise(VALID[name]), imaging.sanitise(VALID[f"i{name}"])

    assert (plain.rgb == interlaced.rgb).all()


@pytest.mark.parametrize(
    "name", [name for name, data in VALID.items() if data[25] in (0, 2, 3) and b"tRNS" not in data]
)
def test_an_opaque_file_has_the_colours_that_libpng_sees(name: str) -> None:
    theirs = cv2.imdecode(np.frombuffer(VALID[name], np.uint8), cv2.IMREAD_COLOR_RGB)

    ours = imaging.sanitise(VALID[name]).rgb

    assert np.abs(ours.astype(int) - theirs).max() <= 1


def _header(data: bytes, at: int, value: int) -> bytes:
    """`data` with one byte of its IHDR changed and the checksum made right again."""
    header = bytearray(data[12:29])
    header[at] = value
    return data[:12] + bytes(header) + struct.pack(">I", zlib.crc32(header)) + data[33:]


def _without_data(data: bytes) -> bytes:
    return data[: data.index(b"IDAT") - 4] + data[data.index(b"IEND") - 4 :]


def _flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


# What the suite's own damaged files (x…) are: its page of corrupted files, name by name.
DAMAGED: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "xs1n0g01, signature byte 1": ("basn0g01", lambda data: bytes([data[0] & 0x7F]) + data[1:]),
    "xs2n0g01, signature is missing a P": ("basn0g01", lambda data: data[:1] + data[2:]),
    "xs4n0g01, signature byte 4": ("basn0g01", lambda data: data[:3] + b"\0" + data[4:]),
    "xs7n0g01, 7th byte a space": ("basn0g01", lambda data: data[:6] + b" " + data[7:]),
    "xcrn0g04, added carriage returns": ("basn0g04", lambda data: data.replace(b"\n", b"\r\n")),
    "xlfn0g04, added line feeds": ("basn0g04", lambda data: data.replace(b"\r\n", b"\n\n")),
    "xhdn0g08, wrong IHDR checksum": ("basn0g08", lambda data: _flipped(data, 32)),
    "xc1n0g08, colour type 1": ("basn0g08", lambda data: _header(data, 13, 1)),
    "xc9n2c08, colour type 9": ("basn2c08", lambda data: _header(data, 13, 9)),
    "xd0n2c08, depth 0": ("basn2c08", lambda data: _header(data, 12, 0)),
    "xd3n2c08, depth 3": ("basn2c08", lambda data: _header(data, 12, 3)),
    "xd9n2c08, depth 99": ("basn2c08", lambda data: _header(data, 12, 99)),
    "xdtn0g01, no data": ("basn0g01", _without_data),
    "xcsn0g01, wrong data checksum": ("basn0g01", lambda data: _flipped(data, data.index(b"IEND") - 5)),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_every_damaged_file_is_refused(name: str) -> None:
    source, damage = DAMAGED[name]

    with pytest.raises(InvalidInput):
        imaging.sanitise(damage(VALID[source]))


@pytest.mark.parametrize("name", CRASHERS)
def test_every_file_that_crashed_a_decoder_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput):
        imaging.sanitise(CRASHERS[name])
