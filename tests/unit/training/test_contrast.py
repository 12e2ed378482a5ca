"""The contrast grammars hold what the lab counts on: twins of one make, one label a text, nothing of minors."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest
import yaml

from training.prompt_filter.data import CATEGORIES, CONTRAST, expand, expand_pair

GRAMMARS = sorted(CONTRAST.glob("*.yaml"))
# No template pays for the others: more fills of one pair are not more variety.
FILLS_A_PAIR = 60
WORDS_OF_AGE = re.compile(
    r"\b(?:child(?:ren)?|kids?|bab(?:y|ies)|infants?|toddlers?|teen\w*|girls?|boys?|pupils?|school\w*|young\w*|minors?|underage)\b",
    re.IGNORECASE,
)


def load(path: Path) -> dict:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


SEXUAL = [path for path in GRAMMARS if "sexual" in load(path).get("unsafe", {}).get("labels", [])]


def templates(grammar: dict, side: int) -> list[str]:
    """The templates of a side, 0 unsafe and 1 safe: those with a twin and those without."""
    alone = grammar.get(("unsafe", "safe")[side], {}).get("templates", [])
    return [pair[side] for pair in grammar.get("pairs", [])] + alone


def texts(grammar: dict, side: int) -> set[str]:
    random_ = random.Random(3)
    return {
        text.strip().lower()
        for template in templates(grammar, side)
        for text in expand(template, grammar["slots"], FILLS_A_PAIR, random_)
    }


@pytest.mark.parametrize("path", GRAMMARS, ids=lambda path: path.stem)
def test_a_grammar_names_only_what_exists(path):
    grammar = load(path)
    used = {name for side in (0, 1) for text in templates(grammar, side) for name in re.findall(r"{(\w+)}", text)}
    named = {
        name for side in ("unsafe", "safe") for key in ("labels", "open") for name in grammar.get(side, {}).get(key, [])
    }
    fillers = [filler for slot in grammar["slots"].values() for filler in slot]

    assert used == set(grammar["slots"])
    assert named <= set(CATEGORIES)
    assert not grammar.get("safe", {}).get("labels")
    assert bool(templates(grammar, 0)) == bool(grammar.get("unsafe", {}).get("labels"))
    assert all(isinstance(filler, str) for filler in fillers)


@pytest.mark.parametrize("path", SEXUAL, ids=lambda path: path.stem)
def test_a_sexual_grammar_holds_no_word_of_age_on_its_unsafe_side(path):
    aged = [text for text in texts(load(path), 0) if WORDS_OF_AGE.search(text)]

    assert aged == []


def test_there_are_forty_grammars_and_twenty_thousand_pairs():
    random_ = random.Random(3)
    pairs = set()
    for path in GRAMMARS:
        grammar = load(path)
        for unsafe, safe in grammar.get("pairs", []):
            pairs.update(expand_pair(unsafe, safe, grammar["slots"], FILLS_A_PAIR, random_))

    assert len(GRAMMARS) >= 40
    assert len(pairs) >= 20_000


def test_every_category_of_text_has_a_grammar():
    covered = {label for path in GRAMMARS for label in load(path).get("unsafe", {}).get("labels", [])}

    assert covered == set(CATEGORIES)


def test_no_text_is_both_unsafe_and_safe():
    grammars = [load(path) for path in GRAMMARS]
    unsafe = {text: path.stem for path, grammar in zip(GRAMMARS, grammars, strict=True) for text in texts(grammar, 0)}
    safe = {text: path.stem for path, grammar in zip(GRAMMARS, grammars, strict=True) for text in texts(grammar, 1)}

    assert {text: (unsafe[text], safe[text]) for text in unsafe.keys() & safe.keys()} == {}


def test_twins_are_filled_alike():
    slots = {"who": ["a man", "a woman"], "style": ["", ", photo"], "thing": ["a kite"]}

    pairs = expand_pair("{who} hits{style}", "{who} flies {thing}{style}", slots, 10, random.Random(0))

    assert sorted(pairs) == [
        ("a man hits", "a man flies a kite"),
        ("a man hits, photo", "a man flies a kite, photo"),
        ("a woman hits", "a woman flies a kite"),
        ("a woman hits, photo", "a woman flies a kite, photo"),
    ]
