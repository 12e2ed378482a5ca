"""Webhooks: events of a platform become deliveries, signed as Standard Webhooks says, tried for about a day, parked.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import asyncio
import json
import random
import secrets
from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime
from uuid import UUID, uuid4

import structlog
from prometheus_client import Counter, Gauge
from standardwebhooks.webhooks import Webhook

from services.core.errors import InvalidInput, Unavailable
from services.core.secret_box import SecretBox
from services.core.store import events, webhooks
from services.core.store.database import Connection, Database
from services.core.store.webhooks import Attempt, Endpoint, NewDelivery
from services.review import cloud_event
from services.review.post import SECONDS, Outcome, Poster

# What platforms are told of, all of it about their own; which case is with whom is the house's affair.
FOR_PLATFORMS = (
    "item.settled",
    "account.",
    "appeal.decided",
    "report.decided",
    "image.withdrawn",
    "image.restored",
)
TEST = "webhook.test"
SECRET_BYTES = 32
BATCH = 500
AT_ONCE = 16
LEASE_SECONDS = 3 * SECONDS
FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 5.0, 2 * 3600.0
LONGEST_REST_SECONDS = 300.0
GIVE_UP_SECONDS = 24 * 3600.0

DELIVERIES = Counter(
    "portcullis_webhook_attempts", "Attempts to deliver a webhook, and deliveries parked.", ["outcome"]
)
ENDPOINTS = Gauge("portcullis_webhook_endpoints", "Endpoints in use.", ["state"])
WAITING = Gauge("portcullis_webhook_deliveries", "Deliveries that are not delivered.", ["state"])
OLDEST = Gauge("portcullis_webhook_oldest_seconds", "Age of the oldest delivery that waits.")

log = structlog.get_logger()


def check_types(types: list[str]) -> list[str]:
    """The prefixes, or all that platforms may have where none are given; raises InvalidInput for others."""
    for prefix in types:
        if not any(prefix.startswith(known) or known.startswith(prefix) for known in FOR_PLATFORMS) or not prefix:
            raise InvalidInput("types", f"{prefix!r}: platforms are told of {', '.join(FOR_PLATFORMS)}")
    return sorted(set(types)) or list(FOR_PLATFORMS)


def new_secret() -> bytes:
    """A secret of 256 random bits."""
    return secrets.token_bytes(SECRET_BYTES)


def show(secret: bytes) -> str:
    """A secret in the form in which receivers' libraries take it."""
    return f"whsec_{b64encode(secret).decode()}"


def sign(message_id: str, at: datetime, body: str, keys: list[bytes]) -> Mapping[str, str]:
    """The headers of a delivery; one signature for each key, so that a receiver can change his secret at leisure."""
    return {
        "content-type": "application/json",
        "user-agent": "portcullis",
        "webhook-id": message_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(Webhook(key).sign(message_id, at, body) for key in keys),
    }


def wait_seconds(attempt: int, chance: float) -> float:
    """How long after the `attempt`-th failure the next attempt comes: doubling, up to two hours; `chance` is 0 … 1."""
    return min(FIRST_WAIT_SECONDS * 2.0 ** min(attempt - 1, 30), LONGEST_WAIT_SECONDS) * (0.75 + chance / 2)


async def fan_out(database: Database) -> bool:
    """Turns the next page of events into deliveries, in one transaction; whether there may be more."""
    async with database.transaction() as conn:
        await conn.execute("SELECT pg_advisory_xact_lock(hashtext('portcullis webhooks'))")
        after = await events.cursor_of(conn, "webhooks")
        until = await events.horizon(conn)
        page = await events.read(conn, after, until, sealed=[False], types=FOR_PLATFORMS, limit=BATCH)
        if page.end == after:
            return False
        listening = await webhooks.endpoints(conn) if page.events else []
        await webhooks.queue(conn, [delivery for event in page.events for delivery in _for_each(event, listening)])
        await events.move_cursor(conn, "webhooks", page.end)
    return page.full


def _for_each(event: events.Event, listening: list[Endpoint]) -> list[NewDelivery]:
    body = cloud_event.as_json(event)
    return [
        NewDelivery(endpoint.endpoint_id, event.event_id, event.type, body)
        for endpoint in listening
        if endpoint.tenant == event.tenant and endpoint.wants(event.type) and endpoint.created_at <= event.at
    ]


async def queue_test(conn: Connection, endpoint: Endpoint, at: datetime) -> UUID:
    """Writes a delivery that says only that it is a test; returns its id."""
    body = json.dumps(
        {
            "specversion": "1.0",
            "id": str(uuid4()),
            "source": cloud_event.SOURCE,
            "type": TEST,
            "time": at.isoformat(),
            "subject": str(endpoint.endpoint_id),
            "tenant": endpoint.tenant,
            "datacontenttype": "application/json",
            "data": {},
        }
    )
    [delivery_id] = await webhooks.queue(conn, [NewDelivery(endpoint.endpoint_id, None, TEST, body)])
    await webhooks.wake(conn, [endpoint.endpoint_id])
    return delivery_id


class Deliverer:
    """Tries what is due, up to `AT_ONCE` endpoints at a time, one delivery each."""

    def __init__(self, database: Database, box: SecretBox, poster: Poster) -> None:
        self._database = database
        self._box = box
        self._poster = poster
        self._running: set[asyncio.Task[None]] = set()
        self.done = asyncio.Event()

    async def start_due(self) -> int:
        """Begins what is due and there is room for; returns how many. `done` is set whenever one has ended."""
        self.done.clear()
        self._raise_failure()
        room = AT_ONCE - len(self._running)
        if room <= 0:
            return 0
        async with self._database.transaction() as conn:
            attempts = await webhooks.claim(conn, room, LEASE_SECONDS)
        for attempt in attempts:
            self._running.add(asyncio.create_task(self._deliver(attempt)))
        return len(attempts)

    async def finish(self) -> None:
        """Waits for what is under way: at most `SECONDS` and a word to Postgres."""
        if self._running:
            await asyncio.wait(self._running)

    def _raise_failure(self) -> None:
        ended = {task for task in self._running if task.done()}
        self._running -= ended
        for task in ended:
            task.result()

    async def _deliver(self, attempt: Attempt) -> None:
        try:
            outcome = await self._post(attempt)
            await self._record(attempt, outcome)
        except Unavailable as error:  # Postgres is away: the lease ends, and it is sent again under the same id
            log.warning("a delivery was not recorded", reason=error.reason)
        finally:
            self.done.set()

    async def _post(self, attempt: Attempt) -> Outcome:
        owner = attempt.endpoint_id.bytes
        try:
            keys = [self._box.open(sealed, owner) for sealed in (attempt.secret, attempt.old_secret) if sealed]
        except Unavailable as error:
            return Outcome(False, error.message)
        now = datetime.now(tz=UTC)
        headers = sign(str(attempt.delivery_id), now, attempt.body, keys)
        return await self._poster.post(attempt.url, attempt.body.encode(), headers)

    async def _record(self, attempt: Attempt, outcome: Outcome) -> None:
        async with self._database.transaction() as conn:
            if outcome.good:
                await webhooks.delivered(conn, attempt, outcome.status)
                parked = 0
            elif outcome.gone:
                parked = await webhooks.switch_off(conn, attempt, outcome.status)
            else:
                wait = wait_seconds(attempt.attempt, random.random())  # noqa: S311
                parked = await webhooks.failed(
                    conn,
                    attempt,
                    outcome.status,
                    wait_seconds=wait,
                    rest_seconds=min(wait, LONGEST_REST_SECONDS),
                    give_up_seconds=GIVE_UP_SECONDS,
                )
        DELIVERIES.labels("delivered" if outcome.good else "failed").inc()
        DELIVERIES.labels("parked").inc(parked)
        if not outcome.good:
            log.info(
                "a webhook was not taken",
                delivery=str(attempt.delivery_id),
                endpoint=str(attempt.endpoint_id),
                attempt=attempt.attempt,
                status=outcome.status,
                parked=parked,
            )


async def show_figures(database: Database) -> None:
    """Publishes how many endpoints fail, and what waits or is parked."""
    async with database.transaction() as conn:
        now = await webhooks.figures(conn)
    ENDPOINTS.labels("well").set(now.endpoints - now.failing)
    ENDPOINTS.labels("failing").set(now.failing)
    WAITING.labels("pending").set(now.pending)
    WAITING.labels("parked").set(now.parked)
    OLDEST.set(now.oldest_seconds)
