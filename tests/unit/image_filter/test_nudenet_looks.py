"""A find is believed as far as further looks agree, wherever in the picture it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from services.core.imaging import Rgb
from services.image_filter.detectors.nudenet_looks import Network

BUTTOCKS, GENITALIA, FACE = CLASSES = ("BUTTOCKS_EXPOSED", "MALE_GENITALIA_EXPOSED", "FACE_MALE")
Scored = Callable[[int, float], float]


class LightFinder:
    """In place of the network: one box around what is red (a class of its own each for green and blue), scored by the
    test from the side that it sees and the share of the picture that the box takes."""

    def __init__(self, score: Scored) -> None:
        self._score = score
        self.runs: list[tuple[int, int]] = []

    def run(self, _names: None, inputs: dict[str, NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        pictures = inputs["images"]
        self.runs.append((len(pictures), pictures.shape[-1]))
        return [np.stack([self._read(picture) for picture in pictures])]

    def _read(self, picture: NDArray[np.float32]) -> NDArray[np.float32]:
        side = picture.shape[-1]
        columns = np.zeros((4 + len(CLASSES), len(CLASSES)), np.float32)
        for at, channel in enumerate(picture):
            ys, xs = np.nonzero(channel > 0.6)
            if len(ys):
                w, h = np.ptp(xs) + 1, np.ptp(ys) + 1
                columns[:4, at] = (xs.min() + w / 2, ys.min() + h / 2, w, h)
                columns[4 + at, at] = self._score(side, w * h / side**2)
        return columns


def painted(*boxes: tuple[int, int, int, int, int], size: tuple[int, int] = (400, 600)) -> Rgb:
    """A dark picture with boxes (colour channel, x, y, width, height)."""
    picture = np.zeros((*size, 3), np.uint8)
    for channel, x, y, w, h in boxes:
        picture[y : y + h, x : x + w, channel] = 255
    return picture


def parts(score: Scored, *pictures: Rgb) -> list[list[dict[str, Any]]]:
    return Network(LightFinder(score), CLASSES).parts(pictures)


LARGE, LARGE_GENITALIA, SMALL = (0, 150, 75, 300, 250), (1, 150, 75, 300, 250), (0, 150, 100, 60, 60)
BESIDE = (2, 20, 20, 60, 60)


def as_first(_side: int, _share: float) -> float:
    return 0.8


def only_first(side: int, share: float) -> float:
    """Sees what is large at the usual distance alone: not in a larger picture, not from further away."""
    return 0.8 if side == 320 and share > 0.2 else 0.0


def test_what_every_look_sees_keeps_its_score() -> None:
    ((find,),) = parts(as_first, painted(LARGE_GENITALIA))
    assert find["score"] == pytest.approx(find["seen"]) == pytest.approx(0.8)


def test_what_one_look_alone_sees_scores_a_quarter() -> None:
    ((find,),) = parts(only_first, painted(LARGE_GENITALIA))
    assert (find["seen"], find["score"]) == (pytest.approx(0.8), pytest.approx(0.2))


def test_what_is_small_is_not_looked_at_from_further_away() -> None:
    """Given a small find that fades with distance, when it is looked at again, then distance is not held against it."""
    ((find,),) = parts(lambda side, share: 0.8 if share > 0.009 else 0.0, painted(SMALL))
    assert find["score"] == pytest.approx(0.8)


def test_a_round_thing_alone_that_fills_the_picture_counts_for_less() -> None:
    ((alone,),) = parts(as_first, painted(LARGE))
    assert alone["score"] == pytest.approx(0.67 * 0.8 / (0.2 + 0.67 * 0.8))


@pytest.mark.parametrize("picture", [painted(LARGE, BESIDE), painted(LARGE_GENITALIA), painted(SMALL)])
def test_beside_other_parts_or_small_or_of_another_kind_it_counts_in_full(picture: Rgb) -> None:
    (found,) = parts(as_first, picture)
    assert [find["score"] for find in found] == [pytest.approx(0.8)] * len(found)


@pytest.mark.parametrize("size", [(400, 600), (600, 500), (90, 640)])
def test_a_find_is_recognised_in_every_look_wherever_it_is(size: tuple[int, int]) -> None:
    """Given pictures of every shape, when they are framed and scaled, then boxes come back to where they were."""
    height, width = size
    box = (1, width // 4, height // 4, width // 2, height // 2)
    ((find,),) = parts(as_first, painted(box, size=size))
    assert find["score"] == pytest.approx(0.8)
    assert np.abs(np.array(find["box"]) - box[1:]).max() <= 4


def test_only_pictures_in_doubt_are_looked_at_again_and_all_at_once() -> None:
    finder = LightFinder(as_first)
    Network(finder, CLASSES).parts([painted(LARGE), painted(BESIDE), painted(), painted(LARGE)])
    assert finder.runs == [(4, 320), (2, 416), (2, 320), (2, 320)]


def test_a_large_batch_is_run_in_pieces() -> None:
    finder = LightFinder(as_first)
    assert len(Network(finder, CLASSES).parts([painted()] * 11)) == 11
    assert finder.runs == [(8, 320), (3, 320)]


def test_a_face_is_never_looked_at_again() -> None:
    finder = LightFinder(as_first)
    ((face,),) = Network(finder, CLASSES).parts([painted(BESIDE)])
    assert (face["class"], face["score"], len(finder.runs)) == (FACE, face["seen"], 1)


def test_nonsense_is_no_answer() -> None:
    with pytest.raises(ValueError, match="not finite"):
        parts(lambda _side, _share: float("nan"), painted(LARGE))
