from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.prompt_filter.normalize import Form, plain, undress

WORDS = frozenset(
    ["a", "killed", "man", "in", "pool", "of", "blood", "kill", "naked", "woman", "bold", "cool", "him", "bad", "them"]
)
# Any Unicode text that UTF-8 can carry, with the disguises drawn often.
DISGUISES = st.sampled_from(list("\u200b\u200d\ufe0f\u0301\u0336оаеѕ🅺🇰ｋ𝓴01345@$!*_.- \t\n<b>ßﬁﷺ"))
TEXTS = st.lists(st.one_of(DISGUISES, st.characters(exclude_categories=["Cs"])), max_size=60).map("".join)


def readable(text: str) -> str:
    return undress(plain(text), WORDS).text


@pytest.mark.parametrize(
    ("disguised", "meant"),
    [
        ("a k.i.l.l.e.d m4n in a p00l of bl00d", "a killed man in a pool of blood"),
        ("n\u200ba\u200bk\u200be\u200bd wоmаn", "naked woman"),
        ("ｎａｋｅｄ 𝔀𝓸𝓶𝓪𝓷", "naked woman"),
        ("k i l l  him", "kill him"),
        ("k-i-l-l him", "kill him"),
        ("kiiiill", "kill"),
        ("bloooood", "blood"),
        ("b1ood", "blood"),
        ("n@ked", "naked"),
        ("8l00d", "blood"),
        ("k i l l t h e m", "kill them"),
        ("k<b>i</b>ll", "kill"),
        ("k*i*l*l", "kill"),
        ("ńáḱéd", "naked"),
        ("k\u0336i\u0336l\u0336l\u0336", "kill"),
        ("🇰🇮🇱🇱", "kill"),
        ("🅺🅸🅻🅻", "KILL"),
    ],
)
def test_a_disguise_is_read_as_it_was_meant(disguised: str, meant: str) -> None:
    assert readable(disguised) == meant


@pytest.mark.parametrize(
    "text",
    [
        "3 cats at 10:30",
        "a red circle above a blue square",
        "4k photo, 35mm film, f/1.8, 1920s",
        "r2d2 and c3p0 at 50% off",
        "80s diner, 3rd street, 4k, mp3",
        "( 2 0 1 0 )",
        "state-of-the-art ukiyo-e",
        "a cool book, see you soon",
        "日本語の絵",
    ],
)
def test_an_honest_text_stays_as_it_is(text: str) -> None:
    expected = text.replace("c3p0", "cep0")  # a digit between letters is read; alone it changes no score
    assert readable(text) == expected


def test_a_span_points_at_the_disguised_bytes_of_the_original() -> None:
    text = "ein é 🙂 k.i.l.l him"
    form = undress(plain(text), WORDS)
    start = form.text.index("kill")
    span = form.span(start, start + 4)
    assert text.encode()[span.start : span.end].decode() == "k.i.l.l"
    assert span.form == "undressed"


def assert_maps_into(form: Form, original: str) -> None:
    raw = original.encode()
    assert len(form.text) == len(form.starts) == len(form.ends)
    for start, end in zip(form.starts, form.ends, strict=True):
        assert 0 <= start < end <= len(raw)
        raw[:start].decode()  # raises inside a character
        raw[start:end].decode()


@given(TEXTS)
def test_every_letter_maps_to_whole_characters_of_the_original(text: str) -> None:
    form = plain(text)
    assert_maps_into(form, text)
    assert_maps_into(undress(form, WORDS), text)


@given(TEXTS)
def test_the_map_runs_forward(text: str) -> None:
    form = undress(plain(text), WORDS)
    assert list(form.starts) == sorted(form.starts)
    assert list(form.ends) == sorted(form.ends)


@given(TEXTS)
def test_undressing_twice_changes_nothing_more(text: str) -> None:
    once = readable(text)
    assert readable(once) == once


@pytest.mark.parametrize(
    "unit", ["a\u0301", "\u0316\u0301", "k.i.l.l ", "a", "<b>", "\u200b", "@1!", "k<b>", "a a a", "\U0001f170"]
)
def test_a_megabyte_takes_time_in_proportion(unit: str) -> None:
    text = unit * (1_000_000 // len(unit.encode()))
    begin = time.perf_counter()
    undress(plain(text), WORDS)
    assert time.perf_counter() - begin < 20  # 1…3 s; a square would take hours
