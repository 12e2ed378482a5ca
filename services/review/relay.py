"""`python -m services.review.relay`: tells the broker what the outbox holds, and sees to what stalls or expires.

Postgres is the truth and the broker only the doorbell: a message is marked as published after the broker took it, in
the transaction that claimed it, so that a kill at any point repeats a message at worst.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Iterator, Sequence
from uuid import UUID

import psycopg
import structlog
from celery import Celery
from kombu.exceptions import KombuError

from services.core import telemetry
from services.core.config import HouseSettings
from services.core.errors import Unavailable
from services.core.evidence import EvidenceFolder
from services.core.process import process
from services.core.rpc.health import watched
from services.core.store import outbox
from services.core.store.database import Database, listen
from services.review.celery_app import make_app
from services.review.settings import ReviewSettings
from services.review.upkeep import sweep, tidy

METRICS_PORT_OFFSET = 108
BATCH = 200
ITEMS_A_TASK = 25  # a killed worker repeats so many at most
RETRY_SECONDS = 1.0
TIDY_SECONDS = 600.0

log = structlog.get_logger()


async def publish_all(database: Database, app: Celery) -> int:
    """Publishes all messages of the outbox and returns how many; raises Unavailable if Postgres or the broker fails."""
    total = 0
    while count := await _publish_batch(database, app):
        total += count
    return total


async def _publish_batch(database: Database, app: Celery) -> int:
    async with database.transaction() as conn:
        messages = await outbox.claim(conn, BATCH)
        if messages:
            await asyncio.to_thread(_send, app, messages)
            await outbox.mark_published(conn, messages)
    return len(messages)


def _send(app: Celery, messages: list[outbox.Message]) -> None:
    try:
        with app.producer_pool.acquire(block=True) as producer:
            for topic, subjects in _grouped(messages):
                app.send_task(topic, [[str(subject) for subject in subjects]], producer=producer, retry=False)
    except (KombuError, OSError, psycopg.Error) as error:
        raise Unavailable("the broker does not take messages", reason="BROKER_UNAVAILABLE") from error


def _grouped(messages: list[outbox.Message]) -> Iterator[tuple[str, Sequence[UUID]]]:
    """Up to `ITEMS_A_TASK` subjects of one topic at a time, in the order of the messages."""
    topics: dict[str, list[UUID]] = {}
    for message in messages:
        topics.setdefault(message.topic, []).append(message.subject)
    for topic, subjects in topics.items():
        for start in range(0, len(subjects), ITEMS_A_TASK):
            yield topic, subjects[start : start + ITEMS_A_TASK]


class Relay:
    """Publishes when the bell rings or `poll_seconds` have gone, sweeps every `sweep_seconds`, until told to stop."""

    def __init__(
        self, dsn: str, database: Database, app: Celery, evidence: EvidenceFolder, settings: ReviewSettings
    ) -> None:
        self._dsn = dsn
        self._database = database
        self._app = app
        self._evidence = evidence
        self._settings = settings
        self._bell = asyncio.Event()

    async def run(self, stopping: asyncio.Event) -> None:
        """Works until `stopping` is set, through outages of Postgres and the broker."""
        async with asyncio.TaskGroup() as tasks:
            running = [
                tasks.create_task(self._through_outages(work))
                for work in (self._hear, self._publish, self._sweep, self._tidy)
            ]
            await stopping.wait()
            for task in running:
                task.cancel()

    async def _through_outages(self, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await work()
            except Unavailable as error:
                log.warning("waiting", reason=error.reason, why=error.message)
                await asyncio.sleep(RETRY_SECONDS)

    async def _hear(self) -> None:
        async for _ in listen(self._dsn, outbox.CHANNEL):
            self._bell.set()

    async def _publish(self) -> None:
        self._bell.clear()
        count = await publish_all(self._database, self._app)
        if count:
            log.info("published", messages=count)
        try:
            async with asyncio.timeout(self._settings.poll_seconds):
                await self._bell.wait()
        except TimeoutError:
            return

    async def _sweep(self) -> None:
        await sweep(self._database, self._settings.stalled_seconds)
        await asyncio.sleep(self._settings.sweep_seconds)

    async def _tidy(self) -> None:
        await tidy(self._database, self._evidence, self._settings.event_days)
        await asyncio.sleep(TIDY_SECONDS)


async def serve(house: HouseSettings, settings: ReviewSettings) -> None:
    """Runs the relay until SIGTERM or Ctrl-C."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    app = await asyncio.to_thread(make_app, house, settings, listens=False)
    evidence = EvidenceFolder(house.home / "evidence")
    database = await Database.open(house.database(), max_size=4)
    chosen = settings.relay_metrics_port
    port = telemetry.serve_metrics(house.bind, house.port_base + METRICS_PORT_OFFSET if chosen is None else chosen)
    log.info("relaying", metrics=port)
    try:
        async with watched(house, database.ping):
            await Relay(house.database(), database, app, evidence, settings).run(stopping)
    finally:
        await database.close()
    log.info("stopped")


def main() -> None:
    """Exits as `process` says."""
    with process("review.relay") as house:
        asyncio.run(serve(house, ReviewSettings()))


if __name__ == "__main__":
    main()
