"""A prompt is cut where filters found something, and nothing of it is lost."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.core.signals import TextSpan
from services.core.verdicts import Reason, Verdict
from services.review.console.spans import Piece, pieces


def reason(*spans: TextSpan, category: str = "hate") -> Reason:
    return Reason(category, "says why", 0.8, 0.7, Verdict.REVIEW, evidence=spans)


SPANS = st.builds(TextSpan, st.integers(-5, 400), st.integers(-5, 400), st.sampled_from(["original", "undressed"]))
READABLE = st.text(st.characters(exclude_categories=["C", "Z"], include_characters=" \n"))


@given(READABLE, st.lists(SPANS))
def test_the_pieces_are_the_text(text, spans):
    assert "".join(piece.text for piece in pieces(text.encode(), [reason(*spans)])) == text


@given(st.binary(), st.lists(SPANS))
def test_any_bytes_can_be_cut(text, spans):
    assert all(piece.text for piece in pieces(text, [reason(*spans)]))


def test_spans_that_overlap_name_both():
    found = pieces(b"abcdef", [reason(TextSpan(0, 4)), reason(TextSpan(2, 6), category="violence")])
    assert found == [Piece("ab", ("hate",)), Piece("cd", ("hate", "violence")), Piece("ef", ("violence",))]


def test_a_span_within_a_character_takes_the_whole_of_it():
    assert pieces("aßb".encode(), [reason(TextSpan(2, 2 + 1))]) == [Piece("a"), Piece("ß", ("hate",)), Piece("b")]


def test_the_negative_prompt_has_spans_of_its_own():
    assert pieces(b"ab", [reason(TextSpan(0, 1, "negative"))]) == [Piece("ab")]
    assert pieces(b"ab", [reason(TextSpan(0, 1, "negative"))], negative=True)[0] == Piece("a", ("hate",))


def test_what_hides_is_written_out():
    assert pieces("a\u200bb".encode(), []) == [Piece("a"), Piece("U+200B", hidden=True), Piece("b")]
