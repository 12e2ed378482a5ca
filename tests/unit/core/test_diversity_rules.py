"""Diversity in a policy: off unless it says so, and every mistake told at its place."""

from __future__ import annotations

import pytest

from services.commands.default_policy import DEFAULT_POLICY
from services.core.policy.document import PolicyError, load_policy

HEAD = "name: test\ndefaults: {review: 0.5, block: 0.8}\n"


def diversity(text: str) -> str:
    return f"{HEAD}diversity: {text}\n"


def test_no_policy_revises_that_does_not_say_so() -> None:
    assert load_policy(DEFAULT_POLICY.read_text(encoding="utf-8"), "default").document.diversity is None


def test_a_policy_without_it_keeps_its_id() -> None:
    assert load_policy(HEAD, "a").id == load_policy(diversity("null"), "b").id


def test_it_begins_in_shadow() -> None:
    rules = load_policy(diversity("{axes: [{phrases: {tall: 0.5, '': 0.5}}]}"), "a").document.diversity

    assert rules is not None
    assert (rules.mode, rules.axes[0].people, rules.axes[0].place) == ("shadow", "one", "before")


def test_weights_may_be_thirds() -> None:
    load_policy(diversity("{axes: [{phrases: {a: 0.333333, b: 0.333333, c: 0.333333}}]}"), "a")


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("{mode: shadow}", "3:12", "'axes' is missing"),
        ("{mode: on, axes: [{phrases: {a: 1}}]}", "3:19", "Input should be 'shadow' or 'enforce'"),
        ("{axes: []}", "3:19", "at least 1 item"),
        ("{axes: [{phrases: {}}]}", "3:30", "at least 1 item"),
        ("{axes: [{phrases: {a: 0.5, b: 0.4}}]}", "3:30", "the weights sum to 0.9: they must sum to 1"),
        ("{axes: [{phrases: {a: 1.0, b: 0.0}}]}", "3:42", "greater than 0"),
        ("{axes: [{phrases: {a: .nan}}]}", "3:34", "finite number"),
        ("{axes: [{phrases: {'a, b': 1}}]}", "3:31", "must be words of the letters a–z"),
        (f"{{axes: [{{phrases: {{{'a' * 41}: 1}}}}]}}", "3:31", "of at most 40 characters"),
        ("{axes: [{phrases: {young Asian: 1}}]}", "3:31", "no phrase may make a child of anybody"),
        ("{axes: [{phrases: {Girl: 1}}]}", "3:31", "no phrase may make a child of anybody"),
        ("{axes: [{people: all, phrases: {a: 1}}]}", "3:29", "Input should be 'one' or 'several'"),
        ("{axes: [{word: a, phrases: {a: 1}}]}", "3:21", "unknown key 'word'"),
    ],
)
def test_a_mistake_is_told_at_its_place(text: str, place: str, message: str) -> None:
    with pytest.raises(PolicyError) as caught:
        load_policy(diversity(text), "mine.yaml")

    (problem,) = caught.value.problems
    assert f"{problem.line}:{problem.column}" == place
    assert message in problem.message
