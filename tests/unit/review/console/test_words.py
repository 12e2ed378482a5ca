"""What was decided is told in the words of the case's kind, and nothing else is."""

from __future__ import annotations

import pytest

from services.core.policy.categories import Stage
from services.core.policy.review_rules import Kind
from services.core.store.review_items import Resolution
from services.review.console.rendering import toast
from services.review.console.words import decided


@pytest.mark.parametrize(
    ("kind", "stage", "resolution", "said"),
    [
        ("content", "prompt", "release", "Prompt released"),
        ("content", "upload", "uphold", "Picture upheld"),
        ("content", "pair", "uphold", "Edit upheld"),
        ("content", "output", "release", "Picture released"),
        ("report", "output", "uphold", "Picture withdrawn"),
        ("appeal", "prompt", "release", "Appeal granted"),
        ("suspension", "prompt", "release", "Suspension lifted"),
    ],
)
def test_a_decision_is_told_in_the_words_of_its_kind(
    kind: Kind, stage: Stage, resolution: Resolution, said: str
) -> None:
    assert toast(decided(kind, stage, resolution)) == said


def test_an_address_that_says_anything_else_says_nothing() -> None:
    assert toast("Your password has expired, call 555-0100") == ""
