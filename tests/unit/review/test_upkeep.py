from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from prometheus_client import REGISTRY

from services.core.evidence import EvidenceStore, create_evidence_key
from services.core.staff import Analyst
from services.core.store import claims, evidence_rows, outbox, stops
from services.core.store.database import Database
from services.core.verdicts import Verdict
from services.review import upkeep

OpenCase = Callable[..., Awaitable[UUID]]
ALICE = Analyst("alice", frozenset({"analyst"}))
DAY = 24 * 3600


@pytest.fixture
def evidence(tmp_path: Path) -> EvidenceStore:
    create_evidence_key(tmp_path / "evidence.key")
    return EvidenceStore(tmp_path / "evidence", tmp_path / "evidence.key")


def files(tmp_path: Path) -> int:
    return sum(path.is_file() for path in (tmp_path / "evidence").rglob("*"))


async def test_what_the_broker_lost_is_told_again(house: Database, open_case: OpenCase) -> None:
    await open_case(routed=False)
    async with house.transaction() as conn:
        await outbox.mark_published(conn, await outbox.claim(conn, 10))

    await upkeep.sweep(house, stalled_seconds=0)

    async with house.transaction() as conn:
        assert len(await outbox.claim(conn, 10)) == 1


async def test_ended_leases_are_put_back(house: Database, open_case: OpenCase) -> None:
    item_id = await open_case()
    async with house.transaction() as conn:
        await claims.claim(conn, item_id, ALICE, -1)

    await upkeep.sweep(house, stalled_seconds=60)

    async with house.transaction() as conn:
        assert await claims.claim_next(conn, None, ALICE, 60) is not None


async def test_the_figures_show_depth_and_age(house: Database, open_case: OpenCase) -> None:
    await open_case()
    await open_case()
    await open_case(routed=False)

    await upkeep.show_figures(house)

    assert REGISTRY.get_sample_value("portcullis_queue_depth", {"queue": "default"}) == 2
    assert REGISTRY.get_sample_value("portcullis_queue_depth", {"queue": "pending"}) == 1


async def test_the_sealed_queue_is_in_no_figure_but_the_sum_of_what_is_overdue(
    house: Database, open_case: OpenCase
) -> None:
    await open_case("sexual.minors", hours=5)

    await upkeep.show_figures(house)

    assert REGISTRY.get_sample_value("portcullis_queue_depth", {"queue": "sealed"}) is None
    assert REGISTRY.get_sample_value("portcullis_queue_overdue") == 1


async def test_a_queue_that_ran_empty_is_not_shown_as_full(house: Database, open_case: OpenCase) -> None:
    item_id = await open_case()
    await upkeep.show_figures(house)
    async with house.transaction() as conn:
        await claims.claim(conn, item_id, ALICE, 60)

    await upkeep.show_figures(house)

    assert not REGISTRY.get_sample_value("portcullis_queue_depth", {"queue": "default"})


async def test_expired_evidence_leaves_the_disk(house: Database, evidence: EvidenceStore, tmp_path: Path) -> None:
    async with house.transaction() as conn:
        await evidence_rows.record(conn, "acme", "prompt", evidence.put(b"old"), timedelta(seconds=-1))
        await evidence_rows.record(conn, "acme", "prompt", evidence.put(b"new"), timedelta(days=1))

    await upkeep.tidy(house, evidence)

    assert files(tmp_path) == 1


async def test_a_case_keeps_its_evidence_until_it_is_decided(
    house: Database, evidence: EvidenceStore, open_case: OpenCase
) -> None:
    blob = evidence.put(b"needed")
    async with house.transaction() as conn:
        await evidence_rows.record(conn, "acme", "prompt", blob, timedelta(seconds=-1))
    await open_case(prompt=blob.id)

    await upkeep.tidy(house, evidence)

    assert evidence.get(blob.id) == b"needed"


async def test_files_that_no_row_names_leave_after_a_day(
    house: Database, evidence: EvidenceStore, tmp_path: Path
) -> None:
    evidence.put(b"fresh")
    orphan = evidence.put(b"orphan")
    path = next((tmp_path / "evidence").rglob(f"{orphan.id}.*"))
    os.utime(path, (path.stat().st_atime, path.stat().st_mtime - 2 * DAY))

    await upkeep.tidy(house, evidence)

    assert files(tmp_path) == 1


async def test_stops_leave_once_no_evidence_can_be_left_of_them(house: Database, evidence: EvidenceStore) -> None:
    old, fresh = (
        stops.Stop(uuid4(), 0, "acme", "user-1", "prompt", 0, Verdict.BLOCK, False, (), (), (), "ab" * 32, {}, b"")
        for _ in range(2)
    )
    async with house.transaction() as conn:
        await stops.record(conn, [old, fresh])
        await conn.execute(
            "UPDATE stops SET created_at = now() - interval '366 days' WHERE decision_id = %s", [old.decision_id]
        )

    await upkeep.tidy(house, evidence)

    async with house.transaction() as conn:
        kept = [await stops.of_decision(conn, "acme", stop.decision_id) for stop in (old, fresh)]
    assert [len(found) for found in kept] == [0, 1]


async def test_that_nothing_waits_to_be_routed_is_shown_too(house: Database, open_case: OpenCase) -> None:
    await open_case()

    await upkeep.show_figures(house)

    assert REGISTRY.get_sample_value("portcullis_queue_oldest_seconds", {"queue": "pending"}) == 0
