from __future__ import annotations

from collections import Counter
from dataclasses import replace

import cv2
import numpy as np
import pdqhash
import pytest
from skimage import data

from services.commands.default_policy import DEFAULT_POLICY
from services.core.errors import InvalidInput
from services.core.imaging import Rgb
from services.core.policy.document import load_policy
from services.core.policy.evaluate import evaluate
from services.core.signals import BankMatch, Measurement
from services.core.store.banks import BankEntry, Hash, HashKind, Opinion
from services.core.verdicts import Verdict
from services.image_filter.banks import Banks, Seen
from services.image_filter.hashes import entry_of, hashes_of

PHOTO: Rgb = data.astronaut()
OTHER: Rgb = data.coffee()
PLAIN: Rgb = np.full((128, 128, 3), 90, np.uint8)
KNOWN = entry_of(PHOTO, "test", "astronaut")


def only(kind: HashKind, entry: BankEntry = KNOWN) -> BankEntry:
    return replace(entry, hashes=tuple(known for known in entry.hashes if known.kind == kind))


def bank_of(*entries: BankEntry, seen: Seen | None = None) -> Banks:
    return Banks(entries, "1", seen)


def orientations(picture: Rgb) -> list[Rgb]:
    return [np.rot90(view, turns) for view in (picture, picture[:, ::-1]) for turns in range(4)]


def crop(picture: Rgb, top: float, bottom: float, left: float, right: float) -> Rgb:
    """What is left when these shares of the height and the width are taken off."""
    height, width = picture.shape[:2]
    return picture[round(height * top) : round(height * (1 - bottom)), round(width * left) : round(width * (1 - right))]


@pytest.mark.parametrize("kind", ["pdq", "phash256", "region"])
@pytest.mark.parametrize("orientation", range(8))
def test_a_known_picture_is_found_in_every_orientation(kind: HashKind, orientation: int) -> None:
    banks = bank_of(only(kind))

    (signal,) = banks.search(orientations(PHOTO)[orientation])

    assert signal.category == "known_image"
    assert isinstance(signal.evidence, BankMatch)
    assert (signal.evidence.bank, signal.evidence.entry) == ("test", "astronaut")
    assert signal.evidence.distance <= 31


def test_a_smaller_copy_of_poor_quality_is_found() -> None:
    banks = bank_of(only("pdq"))
    small = cv2.resize(PHOTO, (200, 200), interpolation=cv2.INTER_AREA)
    _, file = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 15])

    assert banks.search(np.asarray(cv2.imdecode(file, cv2.IMREAD_COLOR), np.uint8)[:, :, ::-1])


CROPS = [(0.05, 0.05, 0.05, 0.05), (0.1, 0, 0, 0), (0, 0.03, 0.1, 0), (0.02, 0.08, 0.07, 0.03), (0.1, 0.1, 0.1, 0.1)]


def test_most_crops_are_found_by_their_regions() -> None:
    pictures = [PHOTO, OTHER, data.chelsea(), data.rocket()]
    banks = bank_of(*(entry_of(picture, "test", str(number)) for number, picture in enumerate(pictures)))

    found = [banks.search(crop(picture, *cut)) for picture in pictures for cut in CROPS]

    assert sum(map(bool, found)) >= 0.75 * len(found)


def captioned(picture: Rgb) -> Rgb:
    captioned = cv2.resize(picture, (512, 512), interpolation=cv2.INTER_AREA)
    cv2.rectangle(captioned, (0, 440), (512, 512), (255, 255, 255), -1)
    cv2.putText(captioned, "BREAKING NEWS", (10, 490), cv2.FONT_HERSHEY_SIMPLEX, 1.8, (0, 0, 0), 3)
    return captioned


def test_a_mirrored_crop_under_a_bar_of_text_is_found() -> None:
    copy = np.ascontiguousarray(crop(PHOTO, 0.02, 0.06, 0.05, 0.05)[:, ::-1])
    cv2.rectangle(copy, (0, 0), (copy.shape[1], 60), (255, 255, 255), -1)
    cv2.putText(copy, "BREAKING NEWS", (10, 45), cv2.FONT_HERSHEY_SIMPLEX, 1.5, (0, 0, 0), 3)

    assert bank_of(KNOWN).search(copy)


def test_pictures_under_one_and_the_same_caption_are_not_taken_for_each_other() -> None:
    photo, other, third = (captioned(picture) for picture in (PHOTO, OTHER, data.chelsea()))

    assert bank_of(entry_of(photo, "test", "a"), entry_of(third, "test", "c")).search(other) == ()


def test_a_hash_alone_gives_a_crop_no_second_chance() -> None:
    assert bank_of(only("pdq")).search(crop(PHOTO, 0.1, 0, 0, 0.1)) == ()


def test_drawings_that_share_a_shape_are_not_taken_for_each_other() -> None:
    drawings = [np.full((256, 256, 3), (240, 220, 40), np.uint8) for _ in range(2)]
    for drawing, other in zip(drawings, ((200, 70), (60, 200)), strict=True):
        cv2.circle(drawing, (120, 130), 45, (180, 30, 30), -1)
        cv2.rectangle(drawing, other, (other[0] + 40, other[1] + 40), (20, 30, 160), -1)
    banks = bank_of(only("region", entry_of(drawings[0], "test", "drawing")))

    assert banks.search(drawings[1]) == ()


def test_another_picture_is_not_found() -> None:
    assert bank_of(KNOWN).search(OTHER) == ()


def test_pictures_that_share_a_bar_of_text_are_not_taken_for_each_other() -> None:
    pictures = [np.ascontiguousarray(picture) for picture in (PHOTO, cv2.resize(OTHER, (512, 512)))]
    for picture in pictures:
        cv2.rectangle(picture, (0, 0), (512, 70), (255, 255, 255), -1)
        cv2.putText(picture, "BREAKING NEWS", (20, 50), cv2.FONT_HERSHEY_SIMPLEX, 1.8, (0, 0, 0), 4)
    banks = bank_of(entry_of(pictures[0], "test", "known"))

    assert banks.search(pictures[0])
    assert banks.search(pictures[1]) == ()


def test_the_hashes_of_one_entry_make_one_signal_with_the_least_distance() -> None:
    (signal,) = bank_of(KNOWN).search(PHOTO)

    assert signal.evidence == BankMatch("test", "astronaut", 0)


def test_empty_banks_find_nothing() -> None:
    assert bank_of().search(PHOTO) == ()


def test_a_plain_picture_matches_nothing() -> None:
    banks = bank_of(BankEntry("test", "plain", (Hash("pdq", np.packbits(pdqhash.compute(PLAIN)[0]).tobytes()),)))

    assert hashes_of(PLAIN, ("pdq",), query=True).plain
    assert banks.search(PLAIN) == ()


def test_a_plain_picture_cannot_be_added() -> None:
    with pytest.raises(InvalidInput, match="too plain"):
        entry_of(PLAIN, "test", "plain")


@pytest.mark.parametrize(
    ("opinion", "score"), [("positive_class", 1.0), ("investigation_seed", 0.5), ("disputed", 0.5)]
)
def test_the_opinion_decides_the_score(opinion: Opinion, score: float) -> None:
    (signal,) = bank_of(replace(KNOWN, opinion=opinion)).search(PHOTO)

    assert signal.score == score


@pytest.mark.parametrize(("opinion", "verdict"), [("positive_class", Verdict.BLOCK), ("disputed", Verdict.REVIEW)])
def test_the_default_policy_sends_what_is_doubtful_to_a_person(opinion: Opinion, verdict: Verdict) -> None:
    policy = load_policy(DEFAULT_POLICY.read_text(encoding="utf-8"), str(DEFAULT_POLICY))
    signals = bank_of(replace(KNOWN, opinion=opinion)).search(PHOTO)

    assert evaluate(policy, "upload", "new", Measurement(signals, ())).verdict is verdict


def test_what_is_called_harmless_never_matches() -> None:
    assert bank_of(replace(KNOWN, opinion="negative_class")).search(PHOTO) == ()


@pytest.mark.parametrize(("tenant", "found"), [(None, ["house"]), ("one", ["house", "own"]), ("two", ["house"])])
def test_a_tenant_is_compared_with_the_banks_of_the_house_and_its_own(tenant: str | None, found: list[str]) -> None:
    banks = bank_of(replace(KNOWN, bank="house"), replace(KNOWN, bank="own", tenant="one"))

    signals = banks.search(PHOTO, tenant)

    assert [signal.evidence.bank for signal in signals if isinstance(signal.evidence, BankMatch)] == found


def test_banks_of_one_name_are_kept_apart() -> None:
    banks = bank_of(replace(KNOWN, opinion="disputed", tenant="one"), replace(KNOWN, tenant="two"))

    assert [signal.score for signal in banks.search(PHOTO, "one")] == [0.5]


def test_matches_are_counted_for_the_tenant_that_they_are_told_to() -> None:
    seen = Seen()
    banks = bank_of(replace(KNOWN, tenant="one"), KNOWN, seen=seen)

    banks.search(PHOTO, "two")
    banks.search(PHOTO, "one")

    assert seen.take() == Counter({0: 1, 1: 2})
    assert not seen.take()


def test_counts_that_were_put_back_are_taken_again() -> None:
    seen = Seen()
    seen.add([7])
    seen.put_back(seen.take())
    seen.add([7])

    assert seen.take() == Counter({7: 2})
