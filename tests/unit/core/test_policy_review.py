from __future__ import annotations

import pytest

from services.core.policy.document import PolicyError, load_policy
from services.core.policy.review_rules import ReviewRules

HEAD = "name: test\ndefaults:\n  review: 0.5\n  block: 0.8\n"


def rules(body: str) -> ReviewRules:
    return load_policy(HEAD + body, "policy.yaml").document.review


@pytest.mark.parametrize(
    ("body", "line", "column", "message"),
    [
        ("review:\n  routes:\n    - queue: apeals\n", 7, 14, "unknown queue 'apeals': did you mean 'appeals'"),
        ("review:\n  routes:\n    - queue: sealed\n", 7, 14, "by themselves"),
        ("review:\n  queues:\n    sealed: {roles: [senior]}\n", 7, 21, "for the role sealed alone"),
        ("review:\n  queues:\n    sealed: {roles: [sealed, lead]}\n", 7, 21, "for the role sealed alone"),
        ("review:\n  queues:\n    late: {roles: [auditor]}\n", 7, 19, "nobody could take cases from 'late'"),
        ("review:\n  queues:\n    late: {roles: []}\n", 7, 19, "at least 1"),
        ("review:\n  queues:\n    default: null\n", 7, 14, "valid dictionary"),
        ("review:\n  queues:\n    late: {due_hours: 0}\n", 7, 23, "greater than 0"),
        ("review:\n  queues:\n    late: {second_review: 2}\n", 7, 27, "less than or equal to 1"),
        ("review:\n  queues: [default]\n", 6, 11, "valid dictionary"),
        ("review:\n  routes:\n    - {queue: default, categories: [hat]}\n", 7, 37, "unknown category 'hat'"),
        ("review:\n  routes:\n    - {queue: default, priority: 10}\n", 7, 34, "less than or equal to 9"),
    ],
)
def test_a_mistake_about_review_is_named_at_its_line_and_column(
    body: str, line: int, column: int, message: str
) -> None:
    with pytest.raises(PolicyError) as caught:
        load_policy(HEAD + body, "policy.yaml")

    (problem,) = caught.value.problems
    assert (problem.line, problem.column) == (line, column), problem
    assert message in problem.message


def test_all_mistakes_about_review_are_told_at_once() -> None:
    body = "review:\n  queues:\n    sealed: {roles: [lead]}\n  routes:\n    - queue: none\n    - queue: sealed\n"

    with pytest.raises(PolicyError) as caught:
        load_policy(HEAD + body, "policy.yaml")

    assert [problem.line for problem in caught.value.problems] == [7, 9, 10]


def test_a_policy_that_names_one_queue_keeps_the_others() -> None:
    named = rules("review:\n  queues:\n    late: {due_hours: 2}\n")

    assert named.queues.keys() == ReviewRules().queues.keys() | {"late"}
    assert named.queues["appeals"] == ReviewRules().queues["appeals"]


def test_what_a_policy_leaves_out_of_a_queue_stays_as_the_house_has_it() -> None:
    sealed = rules("review:\n  queues:\n    sealed: {due_hours: 2}\n").queues["sealed"]

    assert (sealed.due_hours, sealed.roles, sealed.second_review) == (2.0, ["sealed"], 1.0)


def test_queues_written_out_as_they_are_leave_the_policys_id_alone() -> None:
    plain = load_policy(HEAD, "plain").id
    written = load_policy(HEAD + "review:\n  queues:\n    reports: {due_hours: 24}\n", "written").id

    assert plain == written


def test_a_queue_that_is_gone_is_for_seniors_and_leads() -> None:
    assert set(ReviewRules().queue("gone").roles) == {"senior", "lead"}
