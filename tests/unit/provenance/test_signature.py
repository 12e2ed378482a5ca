"""The visible signature."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from skimage import data

from services.core.imaging import encode
from services.core.policy.signature_rules import SignatureRules
from services.provenance import signature


@pytest.mark.parametrize("shape", [(8, 8), (17, 300), (256, 256), (1024, 700)])
def test_what_is_drawn_is_found(shape: tuple[int, int]) -> None:
    picture = np.full((*shape, 3), 90, np.uint8)

    assert signature.detect(signature.draw(picture))


def test_a_picture_without_it_is_told_apart() -> None:
    assert not signature.detect(data.astronaut())


def test_it_lies_in_the_lower_right_corner() -> None:
    signed = signature.draw(np.zeros((256, 256, 3), np.uint8))

    assert not signed[:-4].any()
    assert not signed[:, :-20].any()
    assert signed[-1, -1].tolist() == [0x3C, 0x46, 0xFF]


def test_the_picture_itself_is_left_alone() -> None:
    picture = np.zeros((64, 64, 3), np.uint8)

    signature.draw(picture)

    assert not picture.any()


def test_it_survives_a_smaller_copy_and_jpeg() -> None:
    signed = Image.fromarray(signature.draw(data.astronaut())).resize((300, 300))
    copy = np.asarray(Image.open(BytesIO(encode(np.asarray(signed), "JPEG"))))

    assert signature.detect(copy)


def test_a_policy_chooses_size_and_colours() -> None:
    rules = SignatureRules(squares=32, palette=["#102030", "#ffffff"])

    signed = signature.draw(np.zeros((256, 256, 3), np.uint8), rules)

    assert signed[-8, -16].tolist() == [0x10, 0x20, 0x30]
    assert signature.detect(signed, rules)
    assert not signature.detect(signed)


def test_a_policy_may_leave_it_out() -> None:
    picture = data.astronaut()

    assert np.array_equal(signature.draw(picture, SignatureRules(show=False)), picture)


def test_a_picture_too_narrow_for_it_is_left_as_it_is() -> None:
    picture = np.zeros((100, 3, 3), np.uint8)

    assert np.array_equal(signature.draw(picture), picture)
    assert not signature.detect(picture)
