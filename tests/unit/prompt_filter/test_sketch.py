from __future__ import annotations

import pytest

from services.core.store.cases import NEAR_BITS
from services.prompt_filter.pipeline import PromptPipeline
from services.prompt_filter.settings import PromptFilterSettings

PROMPT = "a lighthouse on a cliff above a calm sea"


@pytest.fixture(scope="module")
def pipeline() -> PromptPipeline:
    return PromptPipeline.load(PromptFilterSettings())


def apart(pipeline: PromptPipeline, one: str, other: str) -> int:
    return (int.from_bytes(pipeline.sketch(one)) ^ int.from_bytes(pipeline.sketch(other))).bit_count()


def test_a_sketch_is_one_of_those_that_cases_compare(pipeline: PromptPipeline) -> None:
    assert len(pipeline.sketch(PROMPT)) == 48


@pytest.mark.parametrize("same", [PROMPT.upper(), "a l\u200bighthouse on a cliff above a c\u200balm sea"])
def test_capitals_and_disguise_change_nothing(pipeline: PromptPipeline, same: str) -> None:
    assert apart(pipeline, PROMPT, same) == 0


def test_near_duplicates_are_near_and_others_are_not(pipeline: PromptPipeline) -> None:
    near = apart(pipeline, PROMPT, "a lighthouse on the cliff above a calm sea.")
    far = apart(pipeline, PROMPT, "two chess players in a smoky cafe")

    assert near <= NEAR_BITS[48] < far


def test_a_text_of_nothing_has_no_sketch(pipeline: PromptPipeline) -> None:
    assert pipeline.sketch("\u200b") == b""
