"""The shipped policies let history pass and stop the living; what a policy does not say, the parent says."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.core.policy.document import Policy, load_policy
from services.core.policy.evaluate import evaluate
from services.core.signals import Measurement, Signal
from services.core.verdicts import Verdict
from services.prompt_filter.people import CERTAIN, HISTORICAL, PUBLIC_FIGURE

FILES = sorted((Path(__file__).parents[3] / "policies").glob("*.yaml"))


def verdict(policy: Policy, category: str) -> Verdict:
    return evaluate(policy, "prompt", "new", Measurement((Signal(category, CERTAIN, "people-bank"),), ())).verdict


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_name_of_history_passes_and_a_living_one_does_not(file: Path) -> None:
    policy = load_policy(file.read_text(encoding="utf-8"), file.name)

    assert verdict(policy, HISTORICAL) is Verdict.ALLOW
    assert verdict(policy, PUBLIC_FIGURE) is not Verdict.ALLOW


def test_a_policy_that_names_the_parent_alone_holds_for_history_too() -> None:
    text = "name: old\ndefaults: {review: 0.98, block: 0.98}\ncategories: {public_figure: {review: 0.4, block: 0.6}}\n"

    assert verdict(load_policy(text, "old"), HISTORICAL) is Verdict.BLOCK
