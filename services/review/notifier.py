"""`python -m services.review.notifier`: tells the world outside: platforms by webhook, and Kafka where it is set.

Both read the same events, each with a cursor of its own in Postgres. Killed at any point it repeats a message at worst,
under the same id. Several may run.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable

import structlog

from services.core import telemetry
from services.core.config import HouseSettings
from services.core.errors import Unavailable
from services.core.process import process
from services.core.rpc.health import watched
from services.core.secret_box import SecretBox
from services.core.store import events
from services.core.store.database import Database, listen
from services.review.addresses import Rules
from services.review.kafka import KafkaSink
from services.review.post import Poster
from services.review.settings import ReviewSettings
from services.review.webhooks import AT_ONCE, Deliverer, fan_out, show_figures

METRICS_PORT_OFFSET = 109
RETRY_SECONDS = 1.0
FIGURES_SECONDS = 5.0
LATE_SECONDS = 0.05  # how soon to look again for events that are committed and cannot be read yet

log = structlog.get_logger()


class Notifier:
    """Tells what happened when the bell rings or `poll_seconds` have gone, until told to stop."""

    def __init__(
        self, dsn: str, database: Database, deliverer: Deliverer, kafka: KafkaSink | None, poll_seconds: float
    ) -> None:
        self._dsn = dsn
        self._database = database
        self._deliverer = deliverer
        self._kafka = kafka
        self._poll_seconds = poll_seconds
        self._bells = {"webhooks": asyncio.Event(), "kafka": asyncio.Event()}

    async def run(self, stopping: asyncio.Event) -> None:
        """Works until `stopping` is set, through outages of Postgres, of receivers and of Kafka."""
        works: list[Callable[[], Awaitable[None]]] = [self._hear, self._fan_out, self._deliver, self._figures]
        if self._kafka is not None:
            works.append(self._send)
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(self._through_outages(work)) for work in works]
            await stopping.wait()
            for task in running:
                task.cancel()
        await self._deliverer.finish()

    async def _through_outages(self, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await work()
            except Unavailable as error:
                log.warning("waiting", reason=error.reason, why=error.message)
                await asyncio.sleep(RETRY_SECONDS)

    async def _hear(self) -> None:
        async for _ in listen(self._dsn, events.CHANNEL):
            for bell in self._bells.values():
                bell.set()

    async def _fan_out(self) -> None:
        self._bells["webhooks"].clear()
        while await fan_out(self._database):
            pass
        self._deliverer.done.set()
        await self._rest("webhooks")

    async def _send(self) -> None:
        assert self._kafka is not None, "it runs only with Kafka"
        self._bells["kafka"].clear()
        while await self._kafka.send_next(self._database):
            pass
        await self._rest("kafka")

    async def _deliver(self) -> None:
        if await self._deliverer.start_due() == 0:
            await _wait(self._deliverer.done, self._poll_seconds)

    async def _figures(self) -> None:
        await show_figures(self._database)
        await asyncio.sleep(FIGURES_SECONDS)

    async def _rest(self, name: str) -> None:
        async with self._database.transaction() as conn:
            late = (await events.horizon(conn)).late
        await _wait(self._bells[name], LATE_SECONDS if late else self._poll_seconds)


async def _wait(bell: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await bell.wait()
    except TimeoutError:
        return


async def serve(house: HouseSettings, settings: ReviewSettings) -> None:
    """Runs the notifier until SIGTERM or Ctrl-C."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it writes whole URLs, and one may hold a token
    rules = Rules.of(settings.webhook_ports, settings.webhook_insecure, settings.webhook_inside)
    poster = Poster(rules, settings.webhook_ca, at_once=AT_ONCE)
    box = SecretBox(house.home / "keys" / "webhooks.key")
    kafka = KafkaSink(settings) if settings.kafka_servers else None
    database = await Database.open(house.database(), max_size=4)
    try:
        async with database.transaction() as conn:
            if await events.mend_restored(conn):
                log.warning("events came from another server: all that are kept are told again")
            if kafka is None:
                await events.leave(conn, "kafka")
        chosen = settings.notifier_metrics_port
        port = telemetry.serve_metrics(house.bind, house.port_base + METRICS_PORT_OFFSET if chosen is None else chosen)
        log.info("notifying", metrics=port, kafka=kafka is not None)
        deliverer = Deliverer(database, box, poster)
        async with watched(house, database.ping):
            await Notifier(house.database(), database, deliverer, kafka, settings.poll_seconds).run(stopping)
    finally:
        poster.close()
        await database.close()
    log.info("stopped")


def main() -> None:
    """Exits as `process` says."""
    with process("review.notifier") as house:
        asyncio.run(serve(house, ReviewSettings()))


if __name__ == "__main__":
    main()
