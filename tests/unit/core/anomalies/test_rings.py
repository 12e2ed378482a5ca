from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.core.anomalies.rings import Member, judge, judge_newcomer, ring
from services.core.policy.anomaly_rules import RingRule

RULE = RingRule(shared_by=4, size=10, members=3, strikes=8.0)


def test_accounts_are_linked_over_one_another() -> None:
    links = [("a", b"phone"), ("b", b"phone"), ("b", b"card"), ("c", b"card"), ("d", b"laptop")]

    assert ring("a", links, RULE) == {"a", "b", "c"}


def test_what_a_school_shares_says_nothing() -> None:
    links = [(f"pupil-{n}", b"school") for n in range(5)]

    assert ring("pupil-0", links, RULE) == {"pupil-0"}


def test_a_ring_grows_no_further_than_its_bound() -> None:
    links = [(f"a-{n + m}", b"%d" % n) for n in range(100) for m in range(2)]

    assert len(ring("a-0", links, RULE)) == RULE.size


def test_strikes_of_a_ring_count_together() -> None:
    members = {name: Member(3.0, False) for name in "abc"}

    alarm = judge(members, RULE)

    assert alarm is not None
    assert alarm.facts["strikes"] == 9.0


def test_one_bad_account_among_relatives_is_no_ring() -> None:
    family = {"a": Member(20.0, False), "b": Member(1.0, False), "c": Member(0.0, False), "d": Member(0.0, False)}

    assert judge(family, RULE) is None


def test_a_newcomer_to_a_suspended_ring_is_watched() -> None:
    members = {"new": Member(0.0, False), **{name: Member(9.0, True) for name in "abc"}}

    alarm = judge_newcomer(members, RULE)

    assert alarm is not None
    assert "3 suspended ones" in alarm.explanation


def test_a_newcomer_to_one_suspended_relative_is_not() -> None:
    assert judge_newcomer({"new": Member(0.0, False), "a": Member(9.0, True)}, RULE) is None


LINKS = st.lists(st.tuples(st.sampled_from("abcdefgh"), st.sampled_from([b"1", b"2", b"3", b"4"])), max_size=30)


@given(LINKS)
def test_to_be_in_one_ring_is_mutual_where_no_bound_is_met(links: list[tuple[str, bytes]]) -> None:
    wide = RingRule(shared_by=1000, size=1000)

    rings = {account: ring(account, links, wide) for account in "abcdefgh"}

    assert all(rings[other] == rings[account] for account in rings for other in rings[account])
