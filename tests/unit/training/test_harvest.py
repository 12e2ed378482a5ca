"""What decisions say of prompts, and who wins where two of them speak."""

from __future__ import annotations

from uuid import UUID, uuid4

import numpy as np
import pytest

from services.core.errors import NotFound
from services.core.store.lessons import Lesson
from services.core.store.review_items import Resolution
from services.core.verdicts import Reason, Verdict
from training.prompt_filter import harvest as harvesting
from training.prompt_filter.harvest import Harvest, harvest

CATEGORIES = ("violence", "spam")


class Decisions:
    """Cases in the order of the store: what a person decided first."""

    def __init__(self) -> None:
        self.lessons: list[Lesson] = []
        self.evidence: dict[UUID, bytes] = {}

    def add(
        self, text: str, resolution: Resolution | None, category: str = "violence", score: float = 0.6, rule: str = ""
    ) -> None:
        reason = Reason(category, "says why", score, 0.5, Verdict.REVIEW, rule)
        lesson = Lesson(uuid4(), "output", (reason,), resolution)
        self.evidence[lesson.prompt] = text.encode()
        self.lessons.append(lesson)

    def read(self, evidence: UUID) -> bytes:
        try:
            return self.evidence[evidence]
        except KeyError:
            raise NotFound("this evidence has expired") from None

    def harvest(self) -> Harvest:
        return harvest(self.lessons, self.read, CATEGORIES)


@pytest.fixture
def decisions() -> Decisions:
    return Decisions()


def test_what_nobody_decided_counts_as_much_as_the_picture_is_sure(decisions: Decisions) -> None:
    decisions.add("a quarrel", None, score=0.6)
    found = decisions.harvest()
    assert (found.labels.tolist(), found.weights.tolist()) == ([[1, -1]], [[pytest.approx(0.6), 0.0]])


@pytest.mark.parametrize(("resolution", "label"), [("uphold", 1), ("release", 0)])
def test_a_persons_word_counts_whole(decisions: Decisions, resolution: Resolution, label: int) -> None:
    decisions.add("a quarrel", resolution)
    found = decisions.harvest()
    assert (found.labels.tolist(), found.weights.tolist()) == ([[label, -1]], [[1.0, 0.0]])


def test_a_person_wins_over_a_picture(decisions: Decisions) -> None:
    decisions.add("a quarrel", "release")
    decisions.add("A  quarrel", None, score=0.9)
    assert decisions.harvest().labels.tolist() == [[0, -1]]


def test_a_prompt_that_once_led_to_a_violation_is_one(decisions: Decisions) -> None:
    decisions.add("a quarrel", "release")
    decisions.add("a quarrel", "uphold")
    assert decisions.harvest().labels.tolist() == [[1, -1]]


def test_two_categories_of_one_prompt_make_one_row(decisions: Decisions) -> None:
    decisions.add("a quarrel", "release")
    decisions.add("a quarrel", None, category="spam")
    assert decisions.harvest().labels.tolist() == [[0, 1]]


def test_rules_and_categories_that_the_model_does_not_know_teach_nothing(decisions: Decisions) -> None:
    decisions.add("a quarrel", "uphold", rule="some-rule")
    decisions.add("a quarrel", "uphold", category="realistic_face")
    assert decisions.harvest().texts == ()


def test_evidence_that_is_gone_is_counted(decisions: Decisions) -> None:
    decisions.add("a quarrel", "uphold")
    decisions.evidence.clear()
    assert decisions.harvest().unreadable == 1


def test_a_side_that_is_full_is_not_read_further(decisions: Decisions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harvesting, "MOST_OF_SIDE", 3)
    for number in range(5):
        decisions.add(f"quarrel {number}", None)
    decisions.add("a walk", "release")
    assert (decisions.harvest().labels[:, 0] == 1).sum() == 3
    assert (decisions.harvest().labels[:, 0] == 0).sum() == 1


def test_a_fifth_is_held_out_and_the_same_one_every_time(decisions: Decisions) -> None:
    for number in range(400):
        decisions.add(f"quarrel {number}", None)
    first, again = decisions.harvest(), decisions.harvest()
    assert 0.1 < first.held_out.mean() < 0.3
    assert np.array_equal(first.held_out, again.held_out)


def test_no_text_shows_where_a_harvest_is_printed(decisions: Decisions) -> None:
    decisions.add("a quarrel", "uphold")
    assert "quarrel" not in repr(decisions.harvest())
