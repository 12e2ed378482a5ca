"""Larger models by URI: pinned by digest, their labels mapped, what does not fit refused at the start."""

from __future__ import annotations

import math
import subprocess
from pathlib import Path

import pytest

from services.core.artifacts import folder_sha256
from services.core.errors import ConfigurationError
from services.prompt_filter.guard import Words, load_guard
from services.prompt_filter.pipeline import PromptPipeline
from services.prompt_filter.sequence_classifier import SequenceClassifier, load_sequence_classifier
from services.prompt_filter.settings import PromptFilterSettings
from tests.unit.prompt_filter import tiny_checkpoints

LABELS = {"toxic": "harassment", "insult": "harassment", "neutral": ""}
ASKED = Words("", "unsafe", "safe")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_checkpoints.classifier(tmp_path_factory.mktemp("model"), ["neutral", "toxic", "violence", "insult"])


@pytest.fixture(scope="module")
def guard_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_checkpoints.causal(tmp_path_factory.mktemp("guard"))


def load(folder: Path, labels: dict[str, str] = LABELS) -> SequenceClassifier:
    return load_sequence_classifier(str(folder), folder_sha256(folder), labels)


def test_labels_become_categories_and_the_worst_of_two_counts(folder: Path) -> None:
    scores = load(folder).scores("kill a lighthouse")
    assert scores == pytest.approx({"harassment": 1 / (1 + math.exp(-3)), "violence": 1 / (1 + math.exp(-2))})


def test_exclusive_labels_share_one(tmp_path: Path) -> None:
    folder = tiny_checkpoints.classifier(tmp_path, ["neutral", "violence"], exclusive=True)
    assert load(folder).scores("kill")["violence"] == pytest.approx(1 / (1 + math.exp(-1)))


def test_a_long_text_is_read_to_its_end(folder: Path) -> None:
    assert load(folder).scores("a lighthouse " * 1_000).keys() == {"harassment", "violence"}


def test_a_label_that_matches_no_category_is_named(folder: Path) -> None:
    with pytest.raises(ConfigurationError, match="insult, neutral"):
        load(folder, {"toxic": "harassment"})


@pytest.mark.parametrize("category", ["rudeness", "realistic_face", "evasion", "sexual.minors"])
def test_a_category_that_no_text_model_scores_is_refused(folder: Path, category: str) -> None:
    with pytest.raises(ConfigurationError, match=category):
        load(folder, {**LABELS, "toxic": category})


def test_a_model_of_which_nothing_is_read_is_refused(folder: Path) -> None:
    with pytest.raises(ConfigurationError, match="none of its labels"):
        load(folder, dict.fromkeys(["neutral", "toxic", "violence", "insult"], ""))


def test_another_folder_than_was_meant_is_refused(folder: Path) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        load_sequence_classifier(str(folder), "0" * 64, LABELS)
    assert folder_sha256(folder) in str(refusal.value)


def test_the_digest_is_what_sha256sum_says(folder: Path) -> None:
    """Given the command of the documentation, when an operator runs it, then it prints what the settings want."""
    command = "LC_ALL=C sha256sum $(LC_ALL=C ls *.json *.jinja *.model *.safetensors *.txt 2>/dev/null) | sha256sum"
    said = subprocess.run(["bash", "-c", command], cwd=folder, capture_output=True, text=True, check=True).stdout
    assert said.split()[0] == folder_sha256(folder)


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be loaded"):
        load(tmp_path)


@pytest.mark.parametrize("uri", ["hf://owner/name", "hf://owner/name@main", "hf://../x@" + "0" * 39])
def test_a_hub_model_must_be_pinned_to_a_commit(uri: str) -> None:
    with pytest.raises(ConfigurationError, match="40 hex digits"):
        load_sequence_classifier(uri, "0" * 64, LABELS)


def test_a_guard_says_how_likely_it_calls_a_text_unsafe(guard_folder: Path) -> None:
    signal = load_guard(str(guard_folder), folder_sha256(guard_folder), ASKED).ask("kill a lighthouse")
    assert signal.category == "concept.second_opinion"
    assert 0 < signal.score < 1
    assert signal.source.startswith("guard/")


def test_a_template_of_ones_own_is_used(guard_folder: Path) -> None:
    digest = folder_sha256(guard_folder)
    own, other = (
        load_guard(str(guard_folder), digest, Words(template, "unsafe", "safe")).ask("kill").score
        for template in ("Is this {prompt} safe ?", "a {prompt}")
    )
    assert own != other


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (Words("Is this safe ?", "unsafe", "safe"), "{prompt}"),
        (Words("", "safe", "safe"), "begin with one token"),
        (Words("", "dangerous", "safe"), "does not know the answer"),
    ],
)
def test_a_question_that_cannot_be_answered_is_refused(guard_folder: Path, words: Words, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        load_guard(str(guard_folder), folder_sha256(guard_folder), words)


def test_without_any_template_a_guard_is_refused(tmp_path: Path) -> None:
    folder = tiny_checkpoints.causal(tmp_path, chat=None)
    with pytest.raises(ConfigurationError, match="no chat template"):
        load_guard(str(folder), folder_sha256(folder), ASKED)


def test_the_pipeline_takes_its_word_for_what_it_knows(folder: Path) -> None:
    """Given a model that knows two categories, when a prompt is measured, then the others stay with the shipped one."""
    settings = PromptFilterSettings(
        text_model_uri=str(folder), text_model_sha256=folder_sha256(folder), text_model_labels=LABELS
    )
    measured = PromptPipeline.load(settings).measure("a lighthouse at dawn")
    sources = {signal.category: signal.source.split("/")[0] for signal in measured.signals}
    assert (sources["violence"], sources["harassment"]) == ("text-model", "text-model")
    assert sources["sexual"] == "prompt-classifier"
    assert measured.scores()["violence"] == pytest.approx(1 / (1 + math.exp(-2)))
    assert "text-model" in {model.name for model in measured.models}
