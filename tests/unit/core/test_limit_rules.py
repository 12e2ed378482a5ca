"""Limits in a policy: which touch a call, under which keys, and mistakes told at their place."""

from __future__ import annotations

import pytest

from services.core.limits.charges import Use, Who, binding, charges
from services.core.policy.document import PolicyError, load_policy
from services.core.policy.limit_rules import Limit, LimitRules

HEAD = "name: test\ndefaults: {review: 0.5, block: 0.8}\nlimits:\n"
ADA = Who("acme", "ada", "new")


def named(**limits: Limit) -> dict[str, Limit]:
    return limits


def calls(**more: object) -> Limit:
    return Limit.model_validate({"kind": "rate", "limit": 10, "window_seconds": 60, **more})


def test_a_limit_touches_its_operations_and_tiers_alone() -> None:
    limits = named(
        creating=calls(operations=["create", "edit"]),
        newcomers=calls(tiers=["new"]),
        testers=calls(tiers=["red_team"]),
        reports=calls(per="reporter"),
    )

    found = charges(limits, Use("create", 1, 64), ADA)

    assert [charge.name for charge in found] == ["creating", "newcomers"]


def test_pixels_are_counted_by_pictures_and_their_area() -> None:
    limits = named(pixels=Limit(kind="pixels", limit=10**9))

    assert [charge.units for charge in charges(limits, Use("create", 3, 64), ADA)] == [3 * 64 * 64]


def test_a_check_makes_no_pixels() -> None:
    assert charges(named(pixels=Limit(kind="pixels", limit=10**9)), Use("check_prompt"), ADA) == []


@pytest.mark.parametrize("other", [Who("acme", "bob", "new"), Who("acme2", "ada", "new"), Who("ac", "me/ada", "new")])
def test_no_two_accounts_share_a_key(other: Who) -> None:
    limits = named(a=calls())

    assert charges(limits, Use("create"), ADA)[0].key != charges(limits, Use("create"), other)[0].key


def test_accounts_of_a_tenant_share_its_limits() -> None:
    limits = named(all=calls(per="tenant"))

    assert (
        charges(limits, Use("create"), ADA)[0].key == charges(limits, Use("edit"), Who("acme", "bob", "trusted"))[0].key
    )


def test_a_report_is_counted_for_its_reporter_and_not_for_accounts() -> None:
    found = charges(LimitRules().named, Use("report"), Who("acme", reporter="r-1"))

    assert [(charge.name, charge.subject) for charge in found if charge.limit.per != "tenant"] == [("reports", "r-1")]


def test_what_binds_an_account_is_told_whatever_the_operation() -> None:
    limits = named(
        creating=calls(operations=["create"]), reports=calls(per="reporter"), testers=calls(tiers=["trusted"])
    )

    assert [charge.name for charge in binding(limits, ADA)] == ["creating"]


@pytest.mark.parametrize(
    ("body", "line", "column", "message"),
    [
        ("  named: {a: {kind: rate, limit: 5}}\n", 4, 14, "kind: rate needs window_seconds"),
        ("  named: {a: {kind: pixels, limit: 5, burst: 2}}\n", 4, 14, "are for kind: rate"),
        ("  named: {a: {kind: rate, limit: 5, window_seconds: 60, burst: 9}}\n", 4, 64, "burst 9 is above limit 5"),
        ("  named: {a: {kind: rate, limit: 0, window_seconds: 60}}\n", 4, 34, "greater than or equal to 1"),
        ("  named: {a: {kind: rate, limit: 5, window_seconds: .inf}}\n", 4, 53, "finite"),
        ("  named: {a: {kind: rate, limit: 5, window_seconds: 60, mode: off}}\n", 4, 63, "'shadow' or 'enforce'"),
        ("  named: {a: {kind: pixels, limit: 5, operations: [check_pair]}}\n", 4, 51, "make pixels"),
        ("  named: {a: {kind: concurrent, limit: 5, operations: [paint]}}\n", 4, 56, "'create'"),
        ("  named: {a: {kind: concurrent, limit: 5, operations: [report]}}\n", 4, 55, "a report has no account"),
        ("  named: {A: {kind: concurrent, limit: 5}}\n", 4, 11, "should match pattern"),
        ("  named: {a: {kind: concurrent, limit: 5, per: reporter, tiers: [new]}}\n", 4, 65, "a reporter has no tier"),
        ("  credits: {monthly: -1}\n", 4, 22, "greater than or equal to 0"),
        ("  credit: {}\n", 4, 3, "unknown key 'credit'"),
    ],
)
def test_a_mistake_is_named_at_its_place(body: str, line: int, column: int, message: str) -> None:
    with pytest.raises(PolicyError) as caught:
        load_policy(HEAD + body, "policy.yaml")

    (problem,) = caught.value.problems
    assert (problem.line, problem.column) == (line, column), problem
    assert message in problem.message


def test_a_policy_that_says_nothing_of_limits_keeps_its_id() -> None:
    before = load_policy("name: test\ndefaults: {review: 0.5, block: 0.8}\n", "policy.yaml")

    assert before.id == "2b953bd6b70f29fb3d161550e9b02d1954398f8a75ccb0039b5979ffe69c35ef"
    assert before.document.limits == LimitRules()
