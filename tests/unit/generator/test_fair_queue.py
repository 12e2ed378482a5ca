"""The line before the renderer: everybody is served, nobody more than a share."""

from __future__ import annotations

from collections import Counter, defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.generator.fair_queue import HEAD_START, QUANTUM, FairQueue

MOST_WORK = 400
TENANTS = ("acme", "beta", "coda")
requests = st.lists(
    st.tuples(st.sampled_from(TENANTS), st.sampled_from(sorted(HEAD_START)), st.integers(1, MOST_WORK)), max_size=40
)


def filled(asked: list[tuple[str, str, int]]) -> FairQueue[int]:
    """Each request's place in `asked`, one a second."""
    queue: FairQueue[int] = FairQueue()
    for place, (tenant, tier, work) in enumerate(asked):
        queue.push(place, tenant, tier, work, now=place)
    return queue


def drained(queue: FairQueue[int]) -> list[int]:
    return [queue.pop() for _ in range(len(queue))]


@settings(deadline=None)
@given(requests)
def test_everything_is_served_once(asked: list[tuple[str, str, int]]) -> None:
    assert sorted(drained(filled(asked))) == list(range(len(asked)))


@settings(deadline=None)
@given(requests)
def test_the_order_that_is_told_is_the_order_of_serving(asked: list[tuple[str, str, int]]) -> None:
    queue = filled(asked)
    assert list(queue) == drained(queue)


@settings(deadline=None)
@given(requests)
def test_tenants_that_wait_get_equal_work_within_a_request_or_two(asked: list[tuple[str, str, int]]) -> None:
    queue = filled(asked)
    left, served = Counter(tenant for tenant, _, _ in asked), defaultdict(int)
    at_start = set(left)
    while len(queue) and all(left[tenant] for tenant in at_start):
        tenant, _, work = asked[queue.pop()]
        left[tenant] -= 1
        served[tenant] += work
        got = [served[one] for one in at_start]
        assert max(got) - min(got) <= MOST_WORK + 2 * QUANTUM


@settings(deadline=None)
@given(requests)
def test_within_a_tenant_and_a_tier_the_order_is_that_of_arrival(asked: list[tuple[str, str, int]]) -> None:
    places = defaultdict(list)
    for place in drained(filled(asked)):
        places[asked[place][:2]].append(place)
    assert all(one == sorted(one) for one in places.values())


@settings(deadline=None)
@given(requests, st.data())
def test_what_gave_up_its_place_is_not_served(asked: list[tuple[str, str, int]], data: st.DataObject) -> None:
    queue = filled(asked)
    gone = data.draw(st.sets(st.sampled_from(range(len(asked))))) if asked else set()
    assert all(queue.remove(place) for place in gone)
    assert sorted(drained(queue)) == [place for place in range(len(asked)) if place not in gone]


def test_who_asks_for_much_waits_behind_himself() -> None:
    queue: FairQueue[str] = FairQueue()
    for number in range(50):
        queue.push(f"flood {number}", "flood", "new", 100, now=0)
    queue.push("other", "quiet", "new", 100, now=1)
    assert [queue.pop() for _ in range(3)].count("other") == 1


def test_a_trusted_account_goes_first_among_its_tenants() -> None:
    queue: FairQueue[str] = FairQueue()
    queue.push("new", "acme", "new", 1, now=0)
    queue.push("trusted", "acme", "trusted", 1, now=1)
    assert queue.pop() == "trusted"


def test_trust_is_a_head_start_and_no_way_past_those_who_waited() -> None:
    queue: FairQueue[str] = FairQueue()
    queue.push("new", "acme", "new", 1, now=0)
    queue.push("invited", "acme", "invited", 1, now=HEAD_START["invited"] + 0.1)
    assert queue.pop() == "new"


def test_trust_counts_within_a_tenant_alone() -> None:
    queue: FairQueue[str] = FairQueue()
    queue.push("a new one's", "acme", "new", 25, now=0)
    queue.push("an invited one's", "beta", "invited", 25, now=0)
    assert queue.pop() == "a new one's"


def test_saving_up_ends_with_the_last_request() -> None:
    queue: FairQueue[str] = FairQueue()
    queue.push("first", "acme", "new", 1, now=0)
    queue.pop()
    queue.push("acme", "acme", "new", QUANTUM, now=1)
    queue.push("beta", "beta", "new", QUANTUM, now=1)
    assert queue.pop() == "acme"
    assert queue.pop() == "beta"


def test_nothing_comes_of_an_empty_line() -> None:
    with pytest.raises(IndexError):
        FairQueue().pop()
