"""A file of terms: what is read, and where what is wrong with it stands."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.errors import InvalidInput
from services.core.store.terms import Term
from services.prompt_filter import bank_file
from services.prompt_filter.bank_file import COLUMNS, BankFileError, parse_bank, read_bank_file

HEADER = ",".join(COLUMNS)


def csv(*lines: str, header: str = HEADER) -> list[Term]:
    return parse_bank("\n".join([header, *lines]).encode(), "bank.csv", "csv")


def mistakes(data: bytes, form: str = "csv") -> list[tuple[int, int, str]]:
    with pytest.raises(BankFileError) as caught:
        parse_bank(data, "bank", form)  # type: ignore[arg-type]
    return [(problem.line, problem.column, problem.message) for problem in caught.value.problems]


def test_a_csv_file_is_read_with_what_is_left_out_filled_in() -> None:
    assert csv("acme,spam,0.9", header="term,category,score") == [Term("acme", "exact", "spam", 0.9)]


def test_all_columns_are_read() -> None:
    assert csv('"acme company, inc",fuzzy,spam,0.9,2,cheap|free,museum,3') == [
        Term("acme company, inc", "fuzzy", "spam", 0.9, 2, ("cheap", "free"), ("museum",), 3)
    ]


def test_yaml_says_the_same() -> None:
    text = "terms:\n- {term: acme, category: spam, score: 0.9, near: [cheap]}\n- {term: acme bath, kind: exception}\n"
    assert parse_bank(text.encode(), "bank.yaml", "yaml") == [
        Term("acme", "exact", "spam", 0.9, near=("cheap",)),
        Term("acme bath", "exception"),
    ]


@pytest.mark.parametrize(
    ("line", "column", "message"),
    [
        ("acme,exact,spa,0.9,,,,", 12, "unknown category 'spa': did you mean 'spam'?"),
        ("acme,exact,spam,1.9,,,,", 17, "less than or equal to 1"),
        ("acme,exact,spam,nan,,,,", 17, "finite"),
        ("acme,exat,spam,0.9,,,,", 6, "'exact'"),
        ("acme,exact,sexual.minors,0.9,,,,", 12, "composes sexual.minors itself"),
        ("acme,exact,known_image,0.9,,,,", 12, "unknown category"),
        (",exact,spam,0.9,,,,", 1, "letter or a digit"),
        ("?!,exact,spam,0.9,,,,", 1, "letter or a digit"),
        ("a\0b,exact,spam,0.9,,,,", 1, "U+0000"),
        ("acme,exact,,,,,,", 1, "needs a category"),
        ("acme,fuzzy,spam,0.9,1,,,", 1, "needs 5 letters"),
        ("(a,re2,spam,0.9,,,,", 1, "RE2"),
        (r"(a)\1,re2,spam,0.9,,,,", 1, "RE2"),
        ("acme,exact,spam,0.9,,two words,,", 22, "not one word"),
        ("acme,exact,spam,0.9,,,,99", 24, "less than or equal to 50"),
        ("acme,exception,spam,0.9,,,,", 1, "nothing else"),
        ("acme,exact,spam", 1, "3 cells"),
        ("a" * 300 + ",exact,spam,0.9,,,,", 1, "200"),
    ],
)
def test_a_mistake_is_told_with_its_line_and_column(line: str, column: int, message: str) -> None:
    ((at_line, at_column, told),) = mistakes(f"{HEADER}\nfine,exact,spam,0.9,,,,\n{line}\n".encode())
    assert (at_line, at_column) == (3, column)
    assert message in told


def test_lines_are_counted_in_the_file_not_in_rows() -> None:
    ((line, _, _),) = mistakes(f'{HEADER}\n"two\nlines",exact,spam,0.9,,,,\n'.encode())
    assert line == 2


def test_a_duplicate_is_told_with_the_line_of_the_first() -> None:
    assert mistakes(f"{HEADER}\nacme,exact,spam,0.9,,,,\nÁcme,exact,spam,0.8,,,,\n".encode()) == [
        (3, 1, "'Ácme' is in line 2 already")
    ]


def test_every_mistake_is_told_at_once() -> None:
    assert [line for line, _, _ in mistakes(f"{HEADER}\n,,,,,,,\n?,exact,spam,0.9,,,,\n".encode())] == [2, 3]


@pytest.mark.parametrize(
    ("data", "place"),
    [
        (b"term\nab\xff", (2, 3)),
        (b"word,score\n", (1, 1)),
        (b"", (1, 1)),
        (b"term,colour\n", (1, 1)),
        (b'term\n"a', (2, 1)),
    ],
)
def test_what_is_no_bank_at_all_is_refused(data: bytes, place: tuple[int, int]) -> None:
    assert mistakes(data)[0][:2] == place


def test_a_surrogate_is_not_utf8() -> None:
    assert "not UTF-8" in mistakes(b"term,category,score\n\xed\xa0\x80,spam,0.9\n")[0][2]


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ("- acme\n", 1, 1),
        ("terms: 3\n", 1, 1),
        ("terms:\n- {term: acme, category: spa, score: 1}\n", 2, 26),
        ("terms:\n- {term: acme, colour: red}\n", 2, 24),
        ("terms: [", 1, 9),
        ("a: &a [x]\nterms: *a\n", 2, 8),
    ],
)
def test_yaml_mistakes_have_places_too(text: str, line: int, column: int) -> None:
    assert mistakes(text.encode(), "yaml")[0][:2] == (line, column)


def test_a_huge_file_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bank_file, "MOST_BYTES", 10)
    (tmp_path / "bank.csv").write_text(HEADER)
    with pytest.raises(InvalidInput, match="larger"):
        read_bank_file(tmp_path / "bank.csv")


def test_more_patterns_than_allowed_are_refused() -> None:
    lines = "\n".join(f"a{n},re2,spam,0.9,,,," for n in range(bank_file.MOST_PATTERNS + 1))
    assert "201 patterns" in mistakes(f"{HEADER}\n{lines}".encode())[0][2]


@given(
    st.binary(max_size=300)
    | st.text(max_size=200).map(lambda text: f"{HEADER}\n{text}".encode("utf-8", "surrogatepass"))
)
def test_any_bytes_are_read_or_refused_with_a_place(data: bytes) -> None:
    for form in ("csv", "yaml"):
        assert all(line >= 1 and column >= 1 for line, column in places(data, form))


def places(data: bytes, form: str) -> list[tuple[int, int]]:
    """Where the mistakes stand; none in a good file. Any other exception is the test's failure."""
    try:
        parse_bank(data, "bank", form)  # type: ignore[arg-type]
    except BankFileError as error:
        return [(problem.line, problem.column) for problem in error.problems] or [(0, 0)]
    return []
