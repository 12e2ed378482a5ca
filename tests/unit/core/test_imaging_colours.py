"""What people see of a file is what comes out: orientation, depth, palettes, CMYK and profiles."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps

from services.core import imaging
from tests.unit.core.hostile_pictures import SIGNATURE, chunk, gradient, header, saved


def distance(one: imaging.Rgb, other: Image.Image) -> int:
    """The largest difference of any sample."""
    return int(np.abs(one.astype(int) - np.asarray(other.convert("RGB")).astype(int)).max())


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_every_exif_orientation_is_applied(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = saved(gradient(), kind, exif=exif, lossless=True)

    result = imaging.sanitise(data)

    upright = ImageOps.exif_transpose(Image.open(BytesIO(data)))
    assert distance(result.rgb, upright) == 0
    assert result.original == upright.size


def test_the_original_size_of_a_shrunk_and_turned_photograph_is_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6

    result = imaging.sanitise(saved(gradient(4096, 600), "JPEG", exif=exif))

    assert (result.width, result.height, result.original) == (300, 2048, (600, 4096))


def test_exif_that_cannot_be_read_counts_as_none() -> None:
    result = imaging.sanitise(saved(gradient(), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff" + bytes(9)))

    assert (result.width, result.height) == (48, 32)


def test_sixteen_bit_grey_is_rescaled() -> None:
    values = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)

    result = imaging.sanitise(saved(Image.fromarray(values)))

    assert np.abs(result.rgb[..., 0].astype(int) - (values >> 8)).max() <= 1


@pytest.mark.parametrize("colour", [2, 6])
def test_sixteen_bit_colours_are_rescaled(colour: int) -> None:
    channels = {2: 3, 6: 4}[colour]
    values = np.random.default_rng(7).integers(0, 65536, (16, 16, channels)).astype(">u2")
    values[..., 3:] = 65535
    rows = b"".join(b"\0" + row.tobytes() for row in values)
    data = SIGNATURE + header(16, 16, 16, colour) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")

    result = imaging.sanitise(data)

    assert np.abs(result.rgb.astype(int) - (values[..., :3] >> 8)).max() <= 1


def test_a_key_colour_of_sixteen_bits_hides_no_colour_of_eight() -> None:
    key = chunk(b"tRNS", struct.pack(">HHH", 0x1220, 0x1220, 0x1220))
    rows = b"".join(b"\0" + b"\x20\x20" * 48 for _ in range(16))
    data = SIGNATURE + header(16, 16, 16, 2) + key + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")

    result = imaging.sanitise(data)

    assert (result.rgb == 0x20).all()


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA"])
def test_every_png_mode_becomes_rgb(mode: str) -> None:
    picture = gradient().convert(mode)

    result = imaging.sanitise(saved(picture))

    assert distance(result.rgb, picture) == 0


def test_a_palette_with_alpha_is_shown_on_white() -> None:
    picture = Image.new("P", (16, 16), 1)
    picture.putpalette([0, 0, 0, 255, 0, 0])

    result = imaging.sanitise(saved(picture, transparency=bytes([255, 128])))

    assert np.abs(result.rgb.astype(int) - (255, 127, 127)).max() <= 1


def test_a_single_transparent_colour_is_shown_on_white() -> None:
    result = imaging.sanitise(saved(Image.new("RGB", (16, 16), (1, 2, 3)), transparency=(1, 2, 3)))

    assert (result.rgb == 255).all()


def test_a_transparent_gif_is_shown_on_white() -> None:
    result = imaging.sanitise(saved(Image.new("P", (16, 16), 3), "GIF", transparency=3))

    assert (result.rgb == 255).all()


def test_cmyk_is_converted() -> None:
    result = imaging.sanitise(saved(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG"))

    red, green, blue = result.rgb[8, 8].astype(int)
    assert red > 200
    assert max(green, blue) < 60


def test_cmyk_without_adobes_mark_is_inverted_as_in_browsers() -> None:
    adobe = saved(gradient().convert("CMYK"), "JPEG")
    at = adobe.index(b"\xff\xee")
    plain = adobe[:at] + adobe[at + 16 :]

    marked, unmarked = imaging.sanitise(adobe), imaging.sanitise(plain)

    assert (marked.rgb == unmarked.rgb).all()


def test_colours_go_through_the_embedded_profile() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()

    result = imaging.sanitise(saved(gradient(), icc_profile=profile))

    assert distance(result.rgb, gradient()) <= 2


def test_a_profile_that_swaps_colours_is_believed() -> None:
    result = imaging.sanitise(saved(Image.new("RGB", (16, 16), (255, 0, 0)), icc_profile=_swapped()))

    red, _, blue = result.rgb[8, 8].astype(int)
    assert blue > 200 > 60 > red


def _swapped() -> bytes:
    """sRGB with the names of its red and its blue primary exchanged in the table of tags (ICC.1, section 7.3)."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return profile.replace(b"rXYZ", b"none").replace(b"bXYZ", b"rXYZ").replace(b"none", b"bXYZ")


@pytest.mark.parametrize("mode", ["RGB", "CMYK"])
def test_a_profile_of_no_use_counts_as_none(mode: str) -> None:
    picture = Image.new(mode, (16, 16))
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()

    with_profile = imaging.sanitise(saved(picture, "JPEG", icc_profile=lab))

    assert (with_profile.rgb == imaging.sanitise(saved(picture, "JPEG")).rgb).all()


def test_a_broken_profile_counts_as_none() -> None:
    result = imaging.sanitise(saved(gradient(), icc_profile=b"no profile at all"))

    assert (result.rgb == np.asarray(gradient())).all()
