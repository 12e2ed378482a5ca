from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from uuid import UUID

import psycopg
import pytest

from services.core.config import HouseSettings
from services.core.errors import Unavailable
from services.core.evidence import EvidenceStore, create_evidence_key
from services.core.store import outbox, review_items
from services.core.store.database import Database
from services.review import relay
from services.review.celery_app import QUEUE, make_app
from services.review.relay import Relay, publish_all
from services.review.settings import ReviewSettings
from services.review.tasks import route_pending

OpenCase = Callable[..., Awaitable[UUID]]


def queued(dsn: str) -> int:
    with psycopg.connect(dsn) as conn:
        if conn.execute("SELECT to_regclass(%s) IS NULL", [f"pgmq.q_{QUEUE}"]).fetchone() == (True,):
            return 0
        row = conn.execute(f"SELECT count(*) FROM pgmq.q_{QUEUE}").fetchone()
    assert row is not None
    return int(row[0])


async def test_what_is_in_the_outbox_reaches_the_broker_once(
    house: Database, database: str, open_case: OpenCase
) -> None:
    app = make_app(HouseSettings(dsn=database), ReviewSettings(), listens=False)
    for _ in range(3):
        await open_case(routed=False)

    assert await publish_all(house, app) == 3
    assert await publish_all(house, app) == 0
    assert queued(database) == 1, "one message for them all"


async def test_what_the_broker_does_not_take_stays_in_the_outbox(
    house: Database, database: str, open_case: OpenCase
) -> None:
    app = make_app(HouseSettings(dsn=database, broker_url="redis://127.0.0.1:9/0"), ReviewSettings(), listens=False)
    item_id = await open_case(routed=False)

    with pytest.raises(Unavailable):
        await publish_all(house, app)

    async with house.transaction() as conn:
        assert [message.subject for message in await outbox.claim(conn, 10)] == [item_id]


async def test_a_commit_rings_the_bell(house: Database, database: str, open_case: OpenCase, tmp_path: Path) -> None:
    create_evidence_key(tmp_path / "evidence.key")
    settings = ReviewSettings(poll_seconds=60)
    app = make_app(HouseSettings(dsn=database), settings, listens=False)
    evidence = EvidenceStore(tmp_path / "evidence", tmp_path / "evidence.key")
    stopping = asyncio.Event()
    running = asyncio.create_task(Relay(database, house, app, evidence, settings).run(stopping))
    await asyncio.sleep(0.5)

    await open_case(routed=False)
    async with asyncio.timeout(10):
        arrived = False
        while not arrived:
            await asyncio.sleep(0.02)
            arrived = await asyncio.to_thread(queued, database) == 1

    stopping.set()
    await running


async def test_an_unexpected_exception_of_one_loop_ends_all(
    house: Database, database: str, open_case: OpenCase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def break_down(*_: object) -> None:
        raise ArithmeticError

    monkeypatch.setattr(relay, "sweep", break_down)
    create_evidence_key(tmp_path / "evidence.key")
    app = make_app(HouseSettings(dsn=database), ReviewSettings(), listens=False)
    evidence = EvidenceStore(tmp_path / "evidence", tmp_path / "evidence.key")
    await open_case(routed=False)

    with pytest.raises(ExceptionGroup) as caught:
        async with asyncio.timeout(10):
            await Relay(database, house, app, evidence, ReviewSettings()).run(asyncio.Event())
    assert caught.group_contains(ArithmeticError)


async def test_the_task_moves_a_pending_item_once(house: Database, database: str, open_case: OpenCase) -> None:
    item_id = await open_case(routed=False)

    assert [await route_pending(house, item_id) for _ in range(2)] == [True, False]

    async with house.transaction() as conn:
        item = await review_items.get(conn, item_id)
    assert item is not None
    assert (item.state, item.queue) == ("queued", "default")


async def test_the_task_of_an_item_that_never_was_does_nothing(house: Database) -> None:
    assert not await route_pending(house, UUID(int=1))
