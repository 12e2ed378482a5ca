"""Work beside the pages: begun once, its result kept, its failure told."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from services.review.console import kept
from services.review.console.kept import Kept

LONG, NOW = timedelta(hours=1), timedelta(0)


@pytest.fixture
def results():
    return Kept()


def counting(gate=None):
    done = []

    async def work():
        if gate is not None:
            await gate.wait()
        done.append(1)
        return len(done)

    return work


async def test_a_short_work_is_there_at_once(results):
    result = await results.fresh("x", counting(), LONG)

    assert (result.value, result.since, result.failed) == (1, None, False)


async def test_a_result_is_kept_while_it_is_fresh(results):
    work = counting()

    found = [(await results.fresh("x", work, age)).value for age in (LONG, LONG, NOW)]

    assert found == [1, 1, 2]


async def test_a_long_work_does_not_keep_a_page(results, monkeypatch):
    monkeypatch.setattr(kept, "PATIENCE_SECONDS", 0)
    gate = asyncio.Event()
    work = counting(gate)

    first = await results.fresh("x", work, LONG)
    second = await results.fresh("x", work, NOW)
    gate.set()
    monkeypatch.setattr(kept, "PATIENCE_SECONDS", 5)
    last = await results.last("x")

    assert (first.value, first.since is not None, second.since) == (None, True, first.since)
    assert (last.value, last.since) == (1, None)


async def test_what_was_known_stays_where_the_next_work_breaks_off(results):
    async def broken():
        raise RuntimeError("no")

    await results.fresh("x", counting(), LONG)
    result = await results.fresh("x", broken, NOW)

    assert (result.value, result.failed, result.since) == (1, True, None)


async def test_closing_breaks_off_what_goes_on(results, monkeypatch):
    monkeypatch.setattr(kept, "PATIENCE_SECONDS", 0)
    work = counting(asyncio.Event())
    await results.fresh("x", work, LONG)

    await results.close()

    assert results._running == {}
