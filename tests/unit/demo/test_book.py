"""The tour's diary and its report."""

from __future__ import annotations

import io

import pytest
from PIL import Image
from rich.console import Console

from demo import inputs
from demo.book import Book
from demo.report import write_report
from portcullis.v1.checks_pb2 import Evidence, Reason, TextSpan


@pytest.fixture
def printed() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def book(printed) -> Book:
    book = Book(Console(file=printed, width=200))
    book.chapter("A stop", "What for.")
    return book


def test_a_promise_that_came_true_is_told(book, printed):
    book.expect(True, "it is blocked")
    assert "✔ it is blocked" in printed.getvalue()
    assert book.missed == []


def test_a_promise_that_did_not_is_told_loudly(book, printed):
    book.expect(False, "it is blocked")
    assert "NOT SO" in printed.getvalue()
    assert book.missed == ["A stop: it is blocked"]


def test_a_reason_shows_the_words(book, printed):
    span = Evidence(span=TextSpan(start=2, end=7))
    reason = Reason(category="violence", message="It threatens.", score=0.9, threshold=0.5, evidence=[span])
    book.reasons([reason], "a knife")
    assert "violence (0.90 ≥ 0.50): It threatens. → “knife”" in printed.getvalue()


def test_the_report_holds_words_and_pictures_and_no_foreign_markup(book, tmp_path):
    book.fact("<script>alert(1)</script>")
    book.picture("a picture", b"\x89PNG")
    book.row("step", "times")
    book.expect(False, "it is blocked")
    write_report(book, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert "&lt;script&gt;" in page
    assert "<script>" not in page
    assert "data:image/png;base64," in page
    assert "1 expectation not met" in page


def test_a_tampered_picture_has_the_size_of_the_first():
    photo = inputs.harmless_photo()
    with Image.open(io.BytesIO(photo)) as before, Image.open(io.BytesIO(inputs.tampered(photo))) as after:
        assert (after.size, after.format) == (before.size, "JPEG")


def test_a_mask_opens_the_middle_alone():
    with Image.open(io.BytesIO(inputs.mask_of(inputs.harmless_photo()))) as mask:
        assert (mask.mode, mask.getpixel((0, 0)), mask.getpixel((mask.width // 2, mask.height // 2))) == ("L", 0, 255)
