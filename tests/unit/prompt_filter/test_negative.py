"""A negative prompt names what shall not be shown: its words are absent, and what their absence shows counts."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.core.errors import InvalidInput
from services.core.signals import TextSpan
from services.prompt_filter.pipeline import PromptMeasurement, PromptPipeline
from services.prompt_filter.settings import PromptFilterSettings


@pytest.fixture(scope="module")
def pipeline() -> PromptPipeline:
    return PromptPipeline.load(PromptFilterSettings())


def named(measured: PromptMeasurement, negative: str, category: str) -> list[str]:
    """What the evidence of a category points at in the negative prompt."""
    raw = negative.encode()
    spans = [signal.evidence for signal in measured.signals if signal.category == category]
    return [raw[s.start : s.end].decode() for s in spans if isinstance(s, TextSpan) and s.form == "negative"]


@pytest.mark.parametrize(
    "negative",
    [
        "blood, gore, violence",
        "nsfw, nude, naked",
        "ugly, blurry, lowres, bad anatomy, extra fingers, watermark, text, worst quality",
        "weapons, guns, knives, drugs",
        "Donald Trump",
        "verschwommen, hässlich",
    ],
)
def test_words_of_a_negative_prompt_are_no_violation(pipeline: PromptPipeline, negative: str) -> None:
    plain = pipeline.measure("a knight on a horse in a green valley")
    steered = pipeline.measure("a knight on a horse in a green valley", negative)
    assert steered.scores() == plain.scores()


@pytest.mark.parametrize("negative", ["clothes", "blurry, clothing, lowres", "underwear, dress", "cl0thes", "censored"])
def test_a_person_without_clothes_is_nude(pipeline: PromptPipeline, negative: str) -> None:
    measured = pipeline.measure("a woman lying on a beach", negative)
    assert measured.scores()["sexual"] >= 0.5


def test_the_words_that_uncover_are_named(pipeline: PromptPipeline) -> None:
    negative = "größer, clothes"
    assert named(pipeline.measure("a man on a sofa", negative), negative, "sexual") == ["clothes"]


def test_a_landscape_without_clothes_stays_one(pipeline: PromptPipeline) -> None:
    assert pipeline.measure("a castle on a hill at dawn", "clothes, people").scores()["sexual"] < 0.5


def test_without_adults_what_is_sexual_counts_in_full(pipeline: PromptPipeline) -> None:
    """Given a sexual score that the words "clothes" lend to a harmless prompt, when adults are unwanted as well."""
    scores = pipeline.measure("a person lying on a beach", "clothes, adult").scores()
    assert scores["sexual.minors"] == scores["sexual"]


def test_without_adults_what_is_harmless_stays_so(pipeline: PromptPipeline) -> None:
    assert pipeline.measure("a playground with swings", "adults").scores()["sexual.minors"] < 0.1


@pytest.mark.parametrize("negative", ["x" * 4001, "a\x00b", "\ud800", "\u200b \u200b"])
def test_a_negative_prompt_that_is_no_text_is_named(pipeline: PromptPipeline, negative: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        pipeline.measure("a harbour", negative)
    assert refusal.value.violation.field == "negative_prompt"


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=80))
def test_spans_lie_within_the_negative_prompt(pipeline: PromptPipeline, noise: str) -> None:
    negative = f"clothes {noise} adult"
    measured = pipeline.measure("a person on a chair", negative)
    for signal in measured.signals:
        if isinstance(signal.evidence, TextSpan) and signal.evidence.form == "negative":
            span = signal.evidence
            assert 0 <= span.start < span.end <= len(negative.encode())
