from __future__ import annotations

import random
import re
from pathlib import Path

import pandas as pd
import pytest
import yaml

from services.prompt_filter.compose import minors_score
from training.prompt_filter.data import CATEGORIES, CONTRAST, expand, split

GRAMMARS = sorted(CONTRAST.glob("*.yaml"))


@pytest.mark.parametrize("path", GRAMMARS, ids=lambda path: path.stem)
def test_a_grammar_uses_known_categories_and_slots(path: Path) -> None:
    grammar = yaml.safe_load(path.read_text(encoding="utf-8"))
    for side in ("unsafe", "safe"):
        part = grammar.get(side, {"templates": []})
        assert set(part.get("labels", [])) | set(part.get("open", [])) <= set(CATEGORIES)
        for template in part["templates"]:
            assert set(re.findall(r"{(\w+)}", template)) <= set(grammar["slots"])


@pytest.mark.parametrize("path", GRAMMARS, ids=lambda path: path.stem)
def test_no_sexual_text_has_a_word_of_age(path: Path) -> None:
    grammar = yaml.safe_load(path.read_text(encoding="utf-8"))
    unsafe = grammar.get("unsafe", {"labels": [], "templates": []})
    if "sexual" in unsafe["labels"]:
        texts = [text for t in unsafe["templates"] for text in expand(t, grammar["slots"], 10_000, random.Random(0))]
        assert not [text for text in texts if minors_score(text, 1.0)[0]]


def test_a_template_gives_distinct_texts_up_to_the_limit() -> None:
    texts = expand("{a} {b}", {"a": ["x", "y"], "b": ["1", "2", "3"]}, 4, random.Random(0))
    assert 1 <= len(texts) == len(set(texts)) <= 4


def test_what_belongs_together_lies_in_one_part_and_unseen_sources_apart() -> None:
    rows = pd.DataFrame({"group": [f"g{n // 3}" for n in range(600)], "src": ["copro"] * 599 + ["catqa"]})
    parts = split(rows)
    assert parts.iloc[-1] == "unseen"
    assert (parts[:-3].groupby(rows["group"][:-3]).nunique() == 1).all()
    assert set(parts) == {"train", "calibrate", "test", "unseen"}
