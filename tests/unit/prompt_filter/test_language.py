from __future__ import annotations

import pytest

from services.prompt_filter.language import LanguageTest


@pytest.fixture(scope="module")
def language() -> LanguageTest:
    return LanguageTest()


@pytest.mark.parametrize(
    "text",
    [
        "bond", "a woman", "red bicycle", "ukiyo-e fox", "chiaroscuro", "Día de los Muertos", "Taylor Swift", "teacups",
        "thick smoke rising from the building", "a red circle above a blue square on a yellow background",
        "cat, 4k, octane render, trending on artstation", "🙂", "1920s",
    ],
)  # fmt: skip
def test_english_and_words_of_art_pass(language: LanguageTest, text: str) -> None:
    assert language.of(text).english >= 0.5


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("ein roter Kreis auf blauem Grund", "de"),
        ("un chat noir dort sur une table en bois", "fr"),
        ("un perro rojo corre por la playa con su dueño", "es"),
        ("человек гуляет по вечернему городу", "ru"),
        ("czerwony samochód stoi na ulicy w mieście", "pl"),
        ("きれいなうみの上にしずむゆうひ", "ja"),
    ],
)
def test_another_language_is_named(language: LanguageTest, text: str, code: str) -> None:
    found = language.of(text)
    assert found.english < 0.5
    assert found.code in (code, "")


@pytest.mark.parametrize("text", ["женщина", "猫の絵", "mujer roja", "homme nu"])
def test_short_foreign_prompts_are_not_english(language: LanguageTest, text: str) -> None:
    assert language.of(text).english < 0.5
