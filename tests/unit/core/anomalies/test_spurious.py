from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.anomalies.spurious import Spurious, lower_bound, step
from services.core.policy.anomaly_rules import SpuriousRule

RULE = SpuriousRule(share=0.02, outputs=200, half_life_hours=24.0)
MODEL = "scenes/3"


def test_a_model_that_draws_what_nobody_asked_for_is_named() -> None:
    _, alarm = step(Spurious(), 40, 400, 0.0, RULE, MODEL)

    assert alarm is not None
    assert alarm.explanation.startswith("Of about 400 pictures that scenes/3 drew")


def test_a_few_bad_pictures_of_few_prove_nothing() -> None:
    _, alarm = step(Spurious(), 5, 50, 0.0, RULE, MODEL)

    assert alarm is None


def test_what_is_just_above_the_bound_by_chance_proves_nothing() -> None:
    _, alarm = step(Spurious(), 5, 240, 0.0, RULE, MODEL)

    assert alarm is None


def test_an_old_fault_is_forgotten() -> None:
    faulty, _ = step(Spurious(), 100, 400, 0.0, RULE, MODEL)

    _, alarm = step(faulty, 0, 1000, 7 * 86400.0, RULE, MODEL)

    assert alarm is None


def test_no_traffic_is_no_alarm() -> None:
    assert step(Spurious(), 0, 0, 1e9, RULE, MODEL)[1] is None


def test_the_bound_is_wilsons() -> None:
    # 10 of 100 at one-sided 99%, worked out by hand from Wilson's formula.
    assert lower_bound(10, 100) == pytest.approx(0.0500, abs=5e-4)


@given(st.integers(0, 10_000), st.integers(0, 10_000))
def test_the_lower_end_lies_between_nothing_and_the_share(some: int, more: int) -> None:
    trials = some + more

    assert 0 <= lower_bound(some, trials) <= (some / trials if trials else 0) + 1e-12
