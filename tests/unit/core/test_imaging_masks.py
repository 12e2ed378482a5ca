from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from services.core import imaging
from services.core.errors import InvalidInput
from tests.unit.core.hostile_pictures import gradient, saved


def picture(width: int = 48, height: int = 32, kind: str = "PNG", **options: object) -> imaging.Sanitised:
    return imaging.sanitise(saved(gradient(width, height), kind, **options))


def drawn(width: int, height: int, *box: int) -> bytes:
    mask = Image.new("L", (width, height), 0)
    mask.paste(255, box)
    return saved(mask)


def opened(png: bytes) -> NDArray[np.uint8]:
    image = Image.open(BytesIO(png))
    assert image.mode == "L"
    return np.asarray(image)


def test_a_mask_becomes_one_channel_of_black_and_white() -> None:
    grey = Image.new("L", (48, 32), 100)
    grey.paste(200, (4, 4, 20, 20))

    mask = opened(imaging.sanitise_mask(saved(grey), picture()))

    assert set(np.unique(mask)) == {0, 255}
    assert (mask[4:20, 4:20] == 255).all()
    assert mask.sum() == 16 * 16 * 255


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_mask_of_the_size_that_was_sent_shrinks_with_its_picture(kind: str) -> None:
    shrunk = picture(4032, 604, kind)

    mask = opened(imaging.sanitise_mask(drawn(4032, 604, 2016, 0, 4032, 302), shrunk))

    height, width = shrunk.rgb.shape[:2]
    assert mask.shape == (height, width) != (604, 4032)
    assert (mask[: height // 2 - 1, width // 2 + 1 :] == 255).all()
    assert not mask[height // 2 + 1 :].any()
    assert not mask[:, : width // 2 - 1].any()


def test_a_sanitised_mask_is_the_same_file_when_it_is_checked_again() -> None:
    large = picture(3000, 2000)
    once = imaging.sanitise_mask(drawn(3000, 2000, 300, 200, 1101, 901), large)
    assert imaging.sanitise_mask(once, imaging.sanitise(large.png)) == once


def test_a_mask_of_the_sanitised_size_is_taken_as_it_is() -> None:
    shrunk = picture(4096, 600)

    mask = opened(imaging.sanitise_mask(drawn(2048, 300, 10, 10, 11, 11), shrunk))

    assert mask.sum() == 255
    assert mask[10, 10] == 255


def test_a_mask_is_drawn_on_the_upright_picture() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = picture(4096, 600, "JPEG", exif=exif)

    mask = opened(imaging.sanitise_mask(drawn(600, 4096, 0, 0, 600, 2048), turned))

    assert mask.shape == (2048, 300)
    assert (mask[:1023] == 255).all()
    assert not mask[1025:].any()


def test_a_mask_that_lies_on_its_side_is_refused() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = picture(4096, 600, "JPEG", exif=exif)

    with pytest.raises(InvalidInput, match="mask: is 4096 × 600 pixels; the image's size, 600 × 4096, is needed"):
        imaging.sanitise_mask(drawn(4096, 600, 0, 0, 9, 9), turned)


def test_a_mask_of_another_size_is_refused() -> None:
    with pytest.raises(InvalidInput, match="mask: is 32 × 48 pixels; the image's size, 48 × 32, is needed"):
        imaging.sanitise_mask(saved(gradient(32, 48)), picture())


def test_an_empty_mask_is_refused() -> None:
    with pytest.raises(InvalidInput, match="marks nothing"):
        imaging.sanitise_mask(saved(Image.new("L", (48, 32), 0)), picture())


def test_a_hostile_mask_is_refused_by_its_own_name() -> None:
    with pytest.raises(InvalidInput, match="mask: not a known picture"):
        imaging.sanitise_mask(b"<svg/>", picture())
