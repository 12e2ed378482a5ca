from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from services.combo_filter import joint, mask
from services.combo_filter.pipeline import ComboPipeline
from services.combo_filter.settings import ComboFilterSettings
from services.core.errors import InvalidInput
from services.core.signals import Box, Signal, TextSpan


def png(width: int, height: int, white: Box | None = None) -> bytes:
    pixels = np.zeros((height, width), np.uint8)
    if white is not None:
        pixels[white.y : white.y + white.h, white.x : white.x + white.w] = 255
    file = BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def scores(signals: tuple[Signal, ...]) -> dict[str, float]:
    return {signal.category: signal.score for signal in signals}


def test_the_mask_tells_its_share_of_the_picture_and_of_each_person() -> None:
    opened = mask.open_mask(png(20, 10, Box(0, 0, 10, 10)), png(20, 10))
    face = Signal("concept.face", 0.8, "t", Box(5, 2, 10, 5))
    found = mask.measure(
        opened, (face, Signal("sexual", 0.9, "t", Box(0, 0, 5, 5)), Signal("concept.person", 1.0, "t"))
    )
    assert scores(found) == {"concept.mask.share": 0.5, "concept.mask.person": pytest.approx(0.4)}


def test_a_person_whom_the_mask_spares_is_not_told() -> None:
    opened = mask.open_mask(png(20, 10, Box(0, 0, 5, 10)), png(20, 10))
    assert len(mask.measure(opened, (Signal("realistic_face", 0.9, "t", Box(10, 2, 5, 5)),))) == 1


def test_a_box_that_leaves_the_picture_counts_as_far_as_it_lies_in_it() -> None:
    opened = mask.open_mask(png(20, 10, Box(0, 0, 20, 10)), png(20, 10))
    found = mask.measure(opened, (Signal("concept.face", 1.0, "t", Box(15, 5, 50, 50)),))
    assert scores(found)["concept.mask.person"] == 1.0


def test_a_mask_over_words_tells_how_much_of_it_lies_on_them() -> None:
    opened = mask.open_mask(png(20, 10, Box(0, 0, 10, 10)), png(20, 10))
    lines = (Signal("concept.text", 0.8, "t", Box(0, 0, 20, 2)), Signal("concept.text", 0.9, "t", Box(0, 5, 5, 1)))
    assert scores(mask.measure(opened, lines))["concept.mask.text"] == pytest.approx(0.8 * 25 / 100)


def test_words_that_the_mask_spares_are_not_told() -> None:
    opened = mask.open_mask(png(20, 10, Box(0, 0, 5, 10)), png(20, 10))
    assert len(mask.measure(opened, (Signal("concept.text", 0.9, "t", Box(10, 2, 5, 5)),))) == 1


def test_a_mask_of_another_size_is_refused() -> None:
    with pytest.raises(InvalidInput, match="mask: is 20 × 10"):
        mask.open_mask(png(20, 10), png(10, 20))


@pytest.mark.parametrize(
    ("measured", "photo"),
    [((), 1.0), ((0.2,), 0.2), ((0.2, 0.6), 0.6), ((float("nan"), 0.1), 1.0), ((-1.0,), 1.0), ((1.5,), 1.0)],
)
def test_a_picture_is_a_photograph_unless_it_was_measured_otherwise(measured: tuple[float, ...], photo: float) -> None:
    assert joint.photo_score([Signal("concept.photo", score, "t") for score in measured]) == photo


def test_a_finding_weighs_as_much_as_the_picture_is_a_photograph() -> None:
    (signal,) = joint.combine([Signal("concept.undress", 1.0, "t", TextSpan(0, 3))], 0.5)
    assert (signal.category, signal.score) == ("manipulation", pytest.approx(0.375))
    assert (signal.source, signal.evidence) == ("pair-joint/1:concept.undress", TextSpan(0, 3))


def test_a_harmless_finding_weighs_nothing() -> None:
    assert joint.combine([Signal("concept.style", 1.0, "t")], 1.0) == ()


def test_the_halves_keep_their_highest_scores_under_their_own_names() -> None:
    prompt = [Signal("sexual", 0.1, "a"), Signal("sexual", 0.3, "b"), Signal("concept.x", 0.2, "c")]
    found = joint.halves(prompt, [Signal("sexual", float("nan"), "d"), Signal("sexual", 0.2, "e")])
    assert {(signal.category, signal.source, signal.score) for signal in found} == {
        ("concept.x", "c", 0.2),
        ("concept.prompt.sexual", "b", 0.3),
        ("concept.upload.sexual", "d", 1.0),
    }


def test_an_edit_needs_a_mask() -> None:
    with pytest.raises(InvalidInput, match="mask: an edit needs one"):
        ComboPipeline.load(ComboFilterSettings()).measure("edit", "a tree", "", png(8, 8), None, (), ())


def test_a_variation_needs_none_and_says_what_it_is() -> None:
    measurement = ComboPipeline.load(ComboFilterSettings()).measure("variation", "", "", png(8, 8), None, (), ())
    assert scores(measurement.signals) == {"concept.operation.variation": 1.0, "manipulation": 0.0}
    assert measurement.capabilities == ("no-joint-encoder",)
    assert [model.name for model in measurement.models] == ["pair-words", "edit-intent"]
