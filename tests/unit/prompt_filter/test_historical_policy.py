"""The shipped policies let history pass and stop the living; what a policy does not say, the parent says."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.core.policy.document import Policy, load_policy
from services.core.policy.evaluate import evaluate
from services.core.signals import Measurement, Signal
from services.core.verdicts import Verdict
from services.prompt_filter.context import CREDITED
from services.prompt_filter.people import CERTAIN, HISTORICAL, PUBLIC_FIGURE

FILES = sorted((Path(__file__).parents[3] / "policies").glob("*.yaml"))


def verdict(policy: Policy, category: str, score: float = CERTAIN) -> Verdict:
    return evaluate(policy, "prompt", "new", Measurement((Signal(category, score, "people-bank"),), ())).verdict


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_name_of_history_passes_and_a_living_one_does_not(file: Path) -> None:
    policy = load_policy(file.read_text(encoding="utf-8"), file.name)

    assert verdict(policy, HISTORICAL) is Verdict.ALLOW
    assert verdict(policy, PUBLIC_FIGURE) is not Verdict.ALLOW


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_who_is_named_as_the_maker_is_held_by_the_strict_policy_alone(file: Path) -> None:
    policy = load_policy(file.read_text(encoding="utf-8"), file.name)

    expected = Verdict.REVIEW if file.stem == "strict" else Verdict.ALLOW
    assert verdict(policy, PUBLIC_FIGURE, CREDITED) is expected


def test_a_policy_that_names_the_parent_alone_holds_for_history_too() -> None:
    text = "name: old\ndefaults: {review: 0.98, block: 0.98}\ncategories: {public_figure: {review: 0.4, block: 0.6}}\n"

    assert verdict(load_policy(text, "old"), HISTORICAL) is Verdict.BLOCK
