from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.prompt_filter.language import LanguageTest
from training.prompt_filter.language import short


@pytest.fixture(scope="module")
def language() -> LanguageTest:
    return LanguageTest()


@pytest.mark.parametrize(
    "text",
    [
        "bond", "a woman", "red bicycle", "ukiyo-e fox", "chiaroscuro", "Día de los Muertos", "Taylor Swift", "teacups",
        "thick smoke rising from the building", "a red circle above a blue square on a yellow background",
        "cat, 4k, octane render, trending on artstation", "🙂", "1920s", "8 k",
        "chat", "sunset", "trompe-l'œil", "hygge",
        "wabi-sabi", "sfumato", "浮世絵 print of a fox", "a photo of Beyoncé",
        "São Paulo skyline", "Zdzisław Beksiński",
        "my abuela cooking tamales", "cyberpunk city, neon, rain", "pikachu", "my photo of NY in HDR", "greg rutkowski",
    ],
)  # fmt: skip
def test_english_and_words_of_art_pass(language: LanguageTest, text: str) -> None:
    assert language.of(text).english >= 0.5


@pytest.mark.parametrize(
    "text",
    [
        "a hat", "a rat", "the llama", "lemur", "geysers", "Stegosaurus", "Ankylosaurus", "toucan flying", "omelette",
        "gecko and trilobite", "a big alpaca", "ham", "!!!",
    ],
)  # fmt: skip
def test_a_few_plain_english_words_pass(language: LanguageTest, text: str) -> None:
    assert language.of(text).english >= 0.5


@pytest.mark.parametrize("text", ["die Hand", "a casa rossa", "die", "gato loco", "hat Hund", "de rat", "luna amor"])
def test_words_that_two_languages_share_are_not_english_by_themselves(language: LanguageTest, text: str) -> None:
    assert language.of(text).english < 0.5


def test_of_six_hundred_short_english_prompts_six_are_lost_at_most(language: LanguageTest) -> None:
    assert sum(language.of(text).english < 0.5 for text in short(seed=1)) <= 6


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("ein roter Kreis auf blauem Grund", "de"),
        ("un chat noir dort sur une table en bois", "fr"),
        ("un perro rojo corre por la playa con su dueño", "es"),
        ("czerwony samochód stoi na ulicy w mieście", "pl"),
        ("ek ladki baarish mein naach rahi hai", "hi"),
        ("malchik i devochka idut po ulitse", "ru"),
        ("человек гуляет по вечернему городу", ""),
        ("きれいなうみの上にしずむゆうひ", ""),
    ],
)
def test_another_language_is_named(language: LanguageTest, text: str, code: str) -> None:
    found = language.of(text)
    assert found.english < 0.5
    assert found.code == code


@pytest.mark.parametrize(
    "text",
    [
        "женщина", "猫の絵", "mujer roja", "homme nu", "luna llena", "rotes Haus", "un chat noir",
        "perro", "chien", "Hund",
        "หมา", "고양이", "كلب", "dos gatos", "die Frau", "gamle hus", "kırmızı araba", "con mèo",
    ],
)  # fmt: skip
def test_short_foreign_prompts_are_not_english(language: LanguageTest, text: str) -> None:
    assert language.of(text).english < 0.5


@given(st.text(max_size=200))
def test_any_text_has_a_probability(language: LanguageTest, text: str) -> None:
    assert 0 <= language.of(text).english <= 1


@given(st.text(string.digits + " .,:;!?()-", max_size=50))
def test_what_has_no_words_counts_as_english(language: LanguageTest, text: str) -> None:
    assert language.of(text).english == 1
