"""What thresholds decisions would have wanted."""

from __future__ import annotations

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from services.commands.default_policy import DEFAULT_POLICY
from services.core.policy.document import load_policy
from services.core.store.lessons import Label
from services.review.thresholds import FAULT, FEWEST, block_from, raise_review_to, wanted

POLICY = load_policy(DEFAULT_POLICY.read_text(encoding="utf-8"), "default")
SCORES = st.integers(0, 20).map(lambda step: step / 20)


def label(score: float, upheld: bool, category: str = "violence", appeal: bool = False) -> Label:
    return Label(UUID(int=1), UUID(int=2), "prompt", category, score, upheld, appeal, "ab" * 32, [])


LABELS = st.lists(st.builds(label, SCORES, st.booleans()), max_size=120)


def test_what_people_release_nearly_always_needs_no_person() -> None:
    decided = [label(0.5 + n / 1000, upheld=False) for n in range(40)] + [label(0.7, upheld=True)] * 5

    assert raise_review_to(decided) == 0.7


def test_what_people_uphold_nearly_always_can_be_refused() -> None:
    decided = [label(0.5, upheld=False)] * 5 + [label(0.6 + n / 1000, upheld=True) for n in range(40)]

    assert block_from(decided) == 0.6


def test_a_few_decisions_say_nothing() -> None:
    decided = [label(0.5, upheld=False)] * (FEWEST - 1)

    assert (raise_review_to(decided), block_from(decided)) == (None, None)


@given(LABELS)
def test_a_wanted_review_threshold_would_hide_few_violations(decided: list[Label]) -> None:
    score = raise_review_to(decided)

    below = [one for one in decided if score is not None and one.score < score]
    assert sum(one.upheld for one in below) <= FAULT * len(below)


@given(LABELS)
def test_a_wanted_block_threshold_would_refuse_few_harmless(decided: list[Label]) -> None:
    score = block_from(decided)

    above = [one for one in decided if score is not None and one.score >= score]
    assert sum(not one.upheld for one in above) <= FAULT * len(above)


def test_each_category_has_a_row_with_the_thresholds_in_force_and_its_appeals() -> None:
    decided = [label(0.6, upheld=True), label(0.9, upheld=False, appeal=True), label(0.5, upheld=True, category="hate")]

    violence, hate = wanted(decided, POLICY)

    assert (violence.category, violence.decided, violence.upheld, violence.appealed, violence.granted) == (
        "violence",
        2,
        1,
        1,
        1,
    )
    assert (violence.review_now, violence.block_now) == (0.5, 0.8)
    assert hate.category == "hate"
