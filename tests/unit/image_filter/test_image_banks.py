from __future__ import annotations

import cv2
import numpy as np
import pytest
from skimage import data

from services.core.errors import InvalidInput
from services.core.imaging import Rgb
from services.core.signals import BankMatch
from services.core.store.banks import BankEntry, HashKind
from services.image_filter.banks import Banks, entry_of, hashes_of

PHOTO: Rgb = data.astronaut()
OTHER: Rgb = data.coffee()


def bank_of(*entries: BankEntry) -> Banks:
    return Banks(entries, "1")


def orientations(picture: Rgb) -> list[Rgb]:
    return [np.rot90(view, turns) for view in (picture, picture[:, ::-1]) for turns in range(4)]


@pytest.mark.parametrize("kind", ["pdq", "phash256"])
@pytest.mark.parametrize("orientation", range(8))
def test_a_known_picture_is_found_in_every_orientation(kind: HashKind, orientation: int) -> None:
    banks = bank_of(entry_of(PHOTO, "test", "astronaut", kind))

    (signal,) = banks.search(orientations(PHOTO)[orientation])

    assert signal.category == "known_image"
    assert isinstance(signal.evidence, BankMatch)
    assert (signal.evidence.bank, signal.evidence.entry) == ("test", "astronaut")
    assert signal.evidence.distance <= 31


def test_a_smaller_copy_of_poor_quality_is_found() -> None:
    banks = bank_of(entry_of(PHOTO, "test", "astronaut", "pdq"))
    small = cv2.resize(PHOTO, (200, 200), interpolation=cv2.INTER_AREA)
    _, file = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 15])

    assert banks.search(np.asarray(cv2.imdecode(file, cv2.IMREAD_COLOR), np.uint8))


def test_another_picture_is_not_found() -> None:
    banks = bank_of(entry_of(PHOTO, "test", "a", "pdq"), entry_of(PHOTO, "test", "a", "phash256"))

    assert banks.search(OTHER) == ()


def test_two_hashes_of_one_entry_make_one_signal_with_the_smaller_distance() -> None:
    banks = bank_of(entry_of(PHOTO, "test", "a", "pdq"), entry_of(PHOTO, "test", "a", "phash256"))

    (signal,) = banks.search(PHOTO)

    assert signal.evidence == BankMatch("test", "a", 0)


def test_empty_banks_find_nothing() -> None:
    assert bank_of().search(PHOTO) == ()


def test_a_plain_picture_matches_nothing() -> None:
    plain = np.full((128, 128, 3), 90, np.uint8)
    banks = bank_of(BankEntry("test", "plain", "pdq", hashes_of(plain).pdq[0].tobytes()))

    assert banks.search(plain) == ()


def test_a_plain_picture_cannot_be_added() -> None:
    with pytest.raises(InvalidInput, match="too plain"):
        entry_of(np.full((128, 128, 3), 90, np.uint8), "test", "plain", "pdq")
