"""What transparency hides is looked at as well, and only where it differs from what is shown."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageDraw

from services.core import imaging
from tests.unit.core.hostile_pictures import gradient, saved


def see_through(colours: Image.Image, alpha: Image.Image | int) -> Image.Image:
    picture = colours.convert("RGBA")
    picture.putalpha(alpha)
    return picture


def written(text: str, size: tuple[int, int], ink: int, ground: int) -> Image.Image:
    picture = Image.new("L", size, ground)
    pen = ImageDraw.Draw(picture)
    pen.fontmode = "1"  # every point of a letter in the same ink
    pen.text((20, 20), text, fill=ink)
    return picture


def close(one: imaging.Rgb, other: Image.Image | imaging.Rgb, by: int = 1) -> bool:
    return bool(np.abs(one.astype(int) - np.asarray(other).astype(int)).max() <= by)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF"])
def test_an_opaque_picture_is_one_picture(kind: str) -> None:
    assert imaging.sanitise(saved(gradient(), kind)).others == ()


@pytest.mark.parametrize("alpha", [255, 254, 252])
def test_alpha_that_nobody_sees_adds_none(alpha: int) -> None:
    assert imaging.sanitise(saved(see_through(gradient(), alpha))).others == ()


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_a_picture_under_full_transparency_is_seen(kind: str) -> None:
    result = imaging.sanitise(saved(see_through(gradient(), 0), kind, lossless=True, exact=True))

    hidden, on_black = result.others
    assert (result.rgb == 255).all()
    assert close(hidden, gradient())
    assert (on_black == 0).all()


def test_a_washed_out_picture_is_seen_in_full_contrast() -> None:
    result = imaging.sanitise(saved(see_through(gradient(), 60)))

    assert close(result.others[0], gradient())


def test_white_writing_on_nothing_is_seen_on_black() -> None:
    ink = written("forbidden", (200, 60), 255, 0)

    result = imaging.sanitise(saved(see_through(Image.new("RGB", ink.size, "white"), ink)))

    assert (result.rgb == 255).all()
    assert len(result.others) == 1
    assert close(result.others[0], ink.convert("RGB"))


def test_black_on_black_under_transparency_is_one_further_picture_not_two() -> None:
    half = Image.new("L", (64, 64), 0)
    half.paste(255, (0, 0, 32, 64))

    result = imaging.sanitise(saved(see_through(Image.new("RGB", (64, 64)), half)))

    assert len(result.others) == 1
    assert (result.others[0] == 0).all()


@pytest.mark.parametrize("size", [(300, 300), (2000, 1500)])
def test_one_small_word_hidden_in_a_large_picture_is_seen(size: tuple[int, int]) -> None:
    colours, alpha = written("hate", size, 255, 90), Image.new("L", size, 255)
    ImageDraw.Draw(alpha).rectangle((0, 0, 60, 40), fill=0)

    result = imaging.sanitise(saved(see_through(colours.convert("RGB"), alpha)))

    assert close(result.others[0], colours.convert("RGB"))


def test_faint_writing_hidden_in_white_is_seen() -> None:
    colours = written("forbidden", (200, 60), 195, 255)

    result = imaging.sanitise(saved(see_through(colours.convert("RGB"), 0)))

    assert close(result.others[0], colours.convert("RGB"))


def test_hidden_writing_that_only_its_profile_makes_visible_is_seen() -> None:
    colours = written("forbidden", (200, 60), 251, 255)

    hidden = see_through(colours.convert("RGB"), 0)
    plain, steep = imaging.sanitise(saved(hidden)), imaging.sanitise(saved(hidden, icc_profile=_steep()))

    assert [other.max() for other in plain.others] == [0]
    assert [other.max() for other in steep.others] == [255, 0]
    assert steep.others[0].min() < 225


def _steep() -> bytes:
    """sRGB with an exponent of 24 in place of 2.4 (ICC.1, parametricCurveType)."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    curve = b"para\0\0\0\0\0\3\0\0"
    assert curve in profile
    at = profile.index(curve) + len(curve)
    return profile.replace(profile[at : at + 4], b"\0\x18\0\0")


def test_a_key_colour_that_hides_writing_is_seen() -> None:
    colours = written("hate", (64, 64), 7, 255)

    result = imaging.sanitise(saved(colours, transparency=7))

    assert (result.rgb == 255).all()
    assert close(result.others[0], colours.convert("RGB"))


def test_a_palette_that_hides_a_picture_is_seen() -> None:
    palette = gradient().quantize(16)

    result = imaging.sanitise(saved(palette, transparency=bytes(16)))

    assert (result.rgb == 255).all()
    assert close(result.others[0], palette.convert("RGB"))


def test_grey_with_alpha_is_seen() -> None:
    colours = written("hate", (64, 64), 0, 200)
    picture = Image.merge("LA", (colours, Image.new("L", (64, 64), 0)))

    result = imaging.sanitise(saved(picture))

    assert close(result.others[0], colours.convert("RGB"))


def test_hidden_pictures_are_shrunk_and_turned_with_the_one_shown() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6

    result = imaging.sanitise(saved(see_through(gradient(4096, 512), 0), exif=exif))

    assert result.rgb.shape == (2048, 256, 3)
    assert {other.shape for other in result.others} == {result.rgb.shape}
    assert close(result.others[0], gradient(2048, 256).transpose(Image.Transpose.ROTATE_270), by=2)


def test_a_shrunk_picture_has_no_fringes_of_what_is_hidden() -> None:
    alpha = Image.new("L", (4096, 64), 0)
    alpha.paste(255, (0, 0, 2049, 64))

    result = imaging.sanitise(saved(see_through(Image.new("RGB", (4096, 64), "red"), alpha)))

    assert (result.rgb[..., 0] == 255).all()


def test_no_one_can_write_into_what_was_seen() -> None:
    result = imaging.sanitise(saved(see_through(gradient(), 0)))

    assert not any(view.flags.writeable for view in (result.rgb, *result.others))
