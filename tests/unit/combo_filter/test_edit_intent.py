"""What the trained encoder says of edits: texts that no training saw, written by another hand."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from services.combo_filter.edits import ALTERS, EditIntent
from services.combo_filter.settings import ComboFilterSettings
from services.core.artifacts import file_sha256
from services.core.errors import ConfigurationError
from services.core.signals import Signal, TextSpan

HELD_OUT = [
    line.split("\t") for line in (Path(__file__).parent / "edits_held_out.tsv").read_text(encoding="utf-8").splitlines()
]


@cache
def intent() -> EditIntent:
    return EditIntent.load(ComboFilterSettings())


def told(text: str) -> dict[str, Signal]:
    return {signal.category: signal for signal in intent().measure(text)}


def altering(text: str) -> bool:
    return ALTERS in (found := told(text)) and found[ALTERS].score >= 0.5


def test_most_harmful_edits_are_found_and_few_harmless_ones() -> None:
    harmful = [altering(text) for label, text in HELD_OUT if not label.startswith("harmless")]
    harmless = [altering(text) for label, text in HELD_OUT if label.startswith("harmless")]

    assert np.mean(harmful) >= 0.93
    assert np.mean(harmless) <= 0.06


def test_training_never_saw_the_held_out_texts() -> None:
    prompts = Path(__file__).parents[3] / "training/combo/prompts"
    seen = {line.casefold() for file in prompts.glob("*.txt") for line in file.read_text("utf-8").splitlines()}

    assert not seen & {text.casefold() for _label, text in HELD_OUT}


def test_a_finding_points_to_its_word_in_the_original() -> None:
    text = "Bitte: put my ＢＲＯＴＨＥＲ beside the car"
    evidence = told(text)["concept.add_person"].evidence

    assert isinstance(evidence, TextSpan)
    assert text.encode()[evidence.start : evidence.end].decode() in text.split()


def test_a_harmful_edit_is_found_at_the_end_of_a_long_text() -> None:
    long = "golden light over the meadow, soft clouds, " * 40

    assert not altering(long)
    assert altering(long + "and put a man in handcuffs on the bench")


def test_an_empty_text_does_nothing() -> None:
    assert intent().measure("") == ()


def test_heads_that_tell_unknown_concepts_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "heads.npz"
    wide = np.zeros((2, 384), np.float32)
    np.savez(
        path, labels=np.array(["harmless_light", "levitate"]), query=wide, weight=wide, bias=np.zeros(2, np.float32)
    )
    settings = ComboFilterSettings.model_validate({"edit_heads": str(path), "edit_heads_sha256": file_sha256(path)})

    with pytest.raises(ConfigurationError, match=r"does not know: levitate"):
        EditIntent.load(settings)


@pytest.mark.parametrize("arrays", [None, {"labels": np.array(["harmless_light"])}])
def test_heads_that_cannot_be_read_are_refused(tmp_path: Path, arrays: dict[str, np.ndarray] | None) -> None:
    path = tmp_path / "heads.npz"
    path.write_text("no arrays") if arrays is None else np.savez(path, **arrays)
    settings = ComboFilterSettings.model_validate({"edit_heads": str(path), "edit_heads_sha256": file_sha256(path)})

    with pytest.raises(ConfigurationError, match=r"heads\.npz: cannot be read"):
        EditIntent.load(settings)
