from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.errors import InvalidInput
from services.prompt_filter.validate import MAX_CHARACTERS, validate


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "0 characters"),
        (" \t\n ", "nothing to see"),
        ("\u200b\u200d", "nothing to see"),
        ("\u0301" * 100, "nothing to see"),
        ("x" * (MAX_CHARACTERS + 1), "4001 characters"),
        ("a" * 1_000_000, "1000000 characters"),
        ("a\x00b", r"U\+0000"),
        ("a\x1b[31m", r"U\+001B"),
        ("a\x85b", r"U\+0085"),
        ("a \ud83d cat", "lone surrogate"),
        ("a" + "\u0301" * 100_000, "100001 characters"),
        ("ﷺ" * 1_000, "reads as 18000 characters"),
    ],
)
def test_what_is_no_prompt_is_refused_with_the_reason(text: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message) as caught:
        validate(text)
    assert caught.value.violation.field == "prompt"


@pytest.mark.parametrize("text", ["a", "🙂", "🐱", "two\nlines\tand a tab", "x" * MAX_CHARACTERS, "a\u202eb"])
def test_a_prompt_passes(text: str) -> None:
    validate(text)


@given(st.text(max_size=50))
def test_any_text_is_taken_or_refused(text: str) -> None:
    with suppress(InvalidInput):  # any other error fails
        validate(text)
