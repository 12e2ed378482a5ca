"""What the policy may say of standing, and how mistakes are told."""

from __future__ import annotations

import pytest

from services.commands.default_policy import DEFAULT_POLICY
from services.core.policy.document import Policy, PolicyError, load_policy

HEAD = "name: p\ndefaults: {review: 0.5, block: 0.8}\n"


def policy(standing: str) -> Policy:
    return load_policy(HEAD + standing, "p.yaml")


@pytest.mark.parametrize(
    ("standing", "line", "column", "message"),
    [
        ("standing:\n  ladder:\n    cooling: {weight: 2}\n", 5, 14, "weight 2 is not above that of warned, 3"),
        ("standing:\n  ladder:\n    warned: {weight: 6}\n", 5, 5, "weight 5 is not above that of warned, 6"),
        ("standing:\n  ladder:\n    warned: {weight: 0}\n", 5, 13, "weight 0 would warn everybody"),
        ("standing:\n  ladder:\n    banned: {weight: 12}\n", 5, 13, "weight 12 is not above that of suspended, 12"),
        ("standing:\n  weights: {hatred: 1}\n", 4, 13, "unknown category 'hatred'"),
        ("standing:\n  jitter: 0.9\n", 4, 11, "less than or equal to 0.5"),
        ("standing:\n  half_life_days: 0\n", 4, 19, "greater than or equal to 0.01"),
        ("standing:\n  ladder:\n    held: {mode: on}\n", 5, 18, "'shadow' or 'enforce'"),
        ("standing:\n  ladder:\n    held: {days: 3}\n", 5, 12, "unknown key 'days'"),
    ],
)
def test_a_mistake_is_told_at_its_place(standing: str, line: int, column: int, message: str) -> None:
    with pytest.raises(PolicyError) as caught:
        policy(standing)

    (problem, *_) = caught.value.problems
    assert (problem.line, problem.column) == (line, column)
    assert message in problem.message


def test_weights_are_laid_over_those_of_the_house() -> None:
    rules = policy("standing:\n  weights: {violence: 2, spam: 0}\n").document.standing

    weights = [rules.weight_of(name) for name in ("violence.graphic", "spam", "language", "hate")]

    assert weights == [2.0, 0.0, 0.0, 1.0]


def test_invited_accounts_are_judged_as_trusted_ones_unless_the_policy_says_otherwise() -> None:
    text = HEAD + "categories:\n  hate: {review: {new: 0.3, trusted: 0.4}}\n"
    text += "  spam: {review: {new: 0.3, trusted: 0.4, invited: 0.45}}\n"

    limits = load_policy(text, "p.yaml").limits

    found = [limits[name, "prompt", "invited"].review for name in ("hate", "spam")]
    assert found == [0.4, 0.45]


def test_a_policy_from_before_keeps_its_id() -> None:
    before = DEFAULT_POLICY.read_text(encoding="utf-8").partition("\nstanding:")[0]
    text = before + "\nstanding: {half_life_days: 30, ladder: {warned: {weight: 3}}}\n"

    assert load_policy(text, "now").id == load_policy(before, "before").id
