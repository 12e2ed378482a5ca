"""The hand-written pairs: enough of them, and each violation beside its two harmless confounders."""

from __future__ import annotations

import re
from collections import Counter

from training.combo.cases import PAIRS, cases, read_groups

UNDER_AGE = {"child", "children", "boy", "boys", "girl", "girls", "kid", "kids", "teen", "teens", "pupil", "baby"}


def test_every_violation_has_its_text_and_its_picture_in_harmless_company() -> None:
    kinds = Counter(case.kind for groups in read_groups().values() for group in groups for case in cases(group))

    assert kinds["violation"] == kinds["other picture"] == kinds["other text"]
    assert kinds.total() >= 600


def test_no_text_is_written_twice() -> None:
    texts = [group.prompt.casefold() for groups in read_groups().values() for group in groups]

    assert len(set(texts)) == len(texts)


def test_nobody_under_age_is_in_them() -> None:
    said = " ".join(
        f"{group.prompt} {group.other_prompt} {group.picture.description} {group.other_picture.description}"
        for groups in read_groups().values()
        for group in groups
        if group.rule in ("undress-person", "change-clothes", "person-in-private-place")
    ).casefold()

    assert not UNDER_AGE & set(said.split())


def test_nobody_under_age_is_undressed_in_the_texts_for_training() -> None:
    said = (PAIRS.parent / "prompts/undress.txt").read_text(encoding="utf-8").casefold()

    assert not UNDER_AGE & set(re.findall(r"\w+", said))
