"""What is counted when a case is settled: how long it waited for a person, and whether that was in due time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from uuid import UUID

from prometheus_client import REGISTRY

from services.core.staff import Analyst
from services.core.store import claims
from services.core.store.database import Database
from services.review.tasks import settle_decided

OpenCase = Callable[..., Awaitable[UUID]]
ALICE = Analyst("alice", frozenset({"analyst"}))
BORIS, CARLA = (Analyst(name, frozenset({"analyst", "sealed"})) for name in ("boris", "carla"))


def settled(due: str) -> float:
    labels = {"queue": "default", "resolution": "release", "due": due}
    return REGISTRY.get_sample_value("portcullis_reviews_total", labels) or 0.0


def waited() -> float:
    return REGISTRY.get_sample_value("portcullis_review_seconds_sum", {"kind": "content"}) or 0.0


async def decide(house: Database, item_id: UUID, *people: Analyst) -> None:
    for analyst in people:
        async with house.transaction() as conn:
            claim = await claims.claim(conn, item_id, analyst, 60)
            await claims.decide(conn, item_id, analyst, claim.token, "release", "", -1)
    assert await settle_decided(house, item_id)


async def test_a_case_that_was_decided_at_once_is_in_time(house: Database, open_case: OpenCase) -> None:
    before = settled("in_time")

    await decide(house, await open_case(hours=1), ALICE)

    assert settled("in_time") == before + 1


async def test_a_case_that_was_decided_after_its_due_time_is_late(house: Database, open_case: OpenCase) -> None:
    before, seconds = settled("late"), waited()

    await decide(house, await open_case(hours=100), ALICE)

    assert settled("late") == before + 1
    assert 0 <= waited() - seconds - 100 * 3600 < 60


async def test_a_sealed_case_is_in_no_count(house: Database, open_case: OpenCase) -> None:
    seconds = waited()

    await decide(house, await open_case("sexual.minors", hours=1), BORIS, CARLA)

    assert waited() == seconds
