"""How well people agree."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.store.quality import Pair, Work
from services.core.store.review_items import Resolution
from services.review.agreement import agreement, by_person, by_queue

RESOLUTIONS = st.sampled_from(["release", "uphold"])
PAIRS = st.lists(st.tuples(RESOLUTIONS, RESOLUTIONS), min_size=1, max_size=60)


def pair(first_by: str, first: Resolution, second_by: str, second: Resolution, queue: str = "default") -> Pair:
    return Pair(queue, first_by, second_by, first, second)


def work(analyst: str, queue: str = "default") -> Work:
    return Work(queue, analyst, judged=4, median_seconds=30.0, overturned=0, golden=0, golden_right=0)


def test_kappa_of_the_textbook_table() -> None:
    # Both yes 20, first alone 5, second alone 10, both no 15: agreement .70, by chance .50.
    said: list[tuple[Resolution, Resolution]] = [
        *[("uphold", "uphold")] * 20,
        *[("uphold", "release")] * 5,
        *[("release", "uphold")] * 10,
        *[("release", "release")] * 15,
    ]

    found = agreement(said)

    assert found.share == pytest.approx(0.7)
    assert found.kappa == pytest.approx(0.4)


def test_without_pairs_nothing_is_said() -> None:
    assert (agreement([]).share, agreement([]).kappa) == (None, None)


def test_where_everybody_always_says_the_same_kappa_says_nothing() -> None:
    assert agreement([("uphold", "uphold")] * 10).kappa is None


@given(PAIRS)
def test_kappa_lies_between_minus_one_and_one(said: list[tuple[Resolution, Resolution]]) -> None:
    kappa = agreement(said).kappa

    assert kappa is None or -1 - 1e-9 <= kappa <= 1 + 1e-9


@given(PAIRS)
def test_kappa_does_not_depend_on_who_is_called_first(said: list[tuple[Resolution, Resolution]]) -> None:
    one, other = agreement(said).kappa, agreement([(second, first) for first, second in said]).kappa

    assert one is None if other is None else math.isclose(one or 0, other, abs_tol=1e-9)


def test_each_person_is_compared_with_those_who_saw_the_same_cases() -> None:
    pairs = [pair("ada", "uphold", "ben", "uphold"), pair("ben", "release", "eve", "uphold")]

    rows = {row.work.analyst: row.agreement for row in by_person(pairs, [work("ada"), work("ben"), work("eve")])}

    assert {name: (row.pairs, row.share) for name, row in rows.items()} == {
        "ada": (1, 1),
        "ben": (2, 0.5),
        "eve": (1, 0),
    }


def test_queues_are_not_mixed() -> None:
    pairs = [pair("ada", "uphold", "ben", "uphold"), pair("ada", "uphold", "ben", "release", queue="urgent")]

    rows = by_queue(pairs, [work("ada"), work("ada", "urgent"), work("ben", "urgent")])

    assert [(row.queue, row.judged, row.agreement.share) for row in rows] == [("default", 4, 1), ("urgent", 8, 0)]
