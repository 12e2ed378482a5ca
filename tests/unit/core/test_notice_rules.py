"""What a policy says to users: its texts are checked where they stand, and filled in where they are told."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from services.core.policy.document import PolicyError, load_policy
from services.core.policy.notice_rules import NoticeRules, fill

HEAD = "name: test\ndefaults:\n  review: 0.5\n  block: 0.8\n"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("'by {when}'", "unknown placeholder 'when'"),
        ("'by {}'", "unknown placeholder ''"),
        ("'{due.year}'", "unknown placeholder 'due.year'"),
        ("'{due:%Y}'", "takes no format"),
        ("'{due!r}'", "takes no format"),
        ("'50 {'", "write {{ and }} for braces"),
        ("''", "at least 1 character"),
        ("'" + "x" * 501 + "'", "at most 500 characters"),
        ("3", "valid string"),
    ],
)
def test_a_bad_notice_is_told_with_its_place(text: str, message: str) -> None:
    with pytest.raises(PolicyError) as caught:
        load_policy(f"{HEAD}notices:\n  appeal_received: {text}\n", "policy.yaml")

    (problem,) = caught.value.problems
    assert (problem.line, problem.column) == (6, 20)
    assert message in problem.message


def test_a_notice_that_nobody_tells_is_unknown() -> None:
    with pytest.raises(PolicyError, match="unknown key 'appeal_recieved'"):
        load_policy(f"{HEAD}notices:\n  appeal_recieved: Thanks.\n", "policy.yaml")


def test_policies_from_before_notices_keep_their_id() -> None:
    said = load_policy(f"{HEAD}notices: {{}}\ncomplaints: {{}}\n", "policy.yaml")

    assert said.id == load_policy(HEAD, "policy.yaml").id


def test_another_text_is_another_policy() -> None:
    said = load_policy(f"{HEAD}notices:\n  appeal_denied: Goodbye.\n", "policy.yaml")

    assert said.id != load_policy(HEAD, "policy.yaml").id


def test_moments_are_filled_in() -> None:
    assert fill("By {due}, until {until}.", due=NOON) == "By 2026-03-01 12:00 UTC, until further notice."


@given(st.text(max_size=60) | st.text("{}:!dueuntil ", max_size=20))
def test_whatever_is_accepted_can_be_told(text: str) -> None:
    try:
        notices = NoticeRules(appeal_received=text)
    except ValidationError:
        return
    assert isinstance(fill(notices.appeal_received, until=NOON), str)


def test_the_shipped_policies_keep_the_house_texts() -> None:
    shipped = (Path(__file__).parents[3] / "policies" / "default.yaml").read_text(encoding="utf-8")

    assert load_policy(shipped, "default.yaml").document.notices == NoticeRules()


@pytest.mark.parametrize("body", ["case_weight: 0.6", "appeal_days: 0", "appeal_days: .inf", "case_weight: -1"])
def test_complaint_rules_out_of_range_are_told(body: str) -> None:
    with pytest.raises(PolicyError) as caught:
        load_policy(f"{HEAD}complaints:\n  {body}\n", "policy.yaml")

    assert [problem.line for problem in caught.value.problems] == [6]
