"""Events to Kafka as CloudEvents in structured JSON: at least once, in order within a subject, nothing that is sealed.

The cursor is in Postgres and moves only after every broker that must have it has acknowledged.
"""

from __future__ import annotations

import asyncio
import logging
import re
from typing import TYPE_CHECKING, Any

import structlog
from prometheus_client import Counter

from services.core.errors import ConfigurationError, Unavailable
from services.core.store import events
from services.core.store.database import Database
from services.core.store.events import Event
from services.review import cloud_event
from services.review.settings import ReviewSettings

if TYPE_CHECKING:
    from confluent_kafka import Producer

BATCH = 500
MESSAGE_SECONDS = 10  # librdkafka gives a message up after that, and says so
OURS = {"acks": "all", "enable.idempotence": True, "message.timeout.ms": MESSAGE_SECONDS * 1000}

SENT = Counter("portcullis_kafka_events", "Events that Kafka has acknowledged.")

log = structlog.get_logger()


class KafkaSink:
    """Takes events to one topic."""

    def __init__(self, settings: ReviewSettings) -> None:
        """Raises ConfigurationError where the extra `kafka` is missing or librdkafka refuses the settings."""
        self._topic = settings.kafka_topic
        self._config = {**settings.kafka_config, **OURS, "bootstrap.servers": settings.kafka_servers}
        self._producer: Producer | None = self._connect()

    async def send_next(self, database: Database) -> bool:
        """Sends the next page of events, and moves the cursor; whether there may be more.

        Raises Unavailable where Kafka does not take them: the cursor stays, and some may come twice, under the same id.
        """
        async with database.transaction() as conn:
            # An advisory lock, for it takes no transaction number: a row's lock would hold up every reader of events.
            cursor = await conn.execute("SELECT pg_try_advisory_xact_lock(hashtext('portcullis kafka'))")
            if await cursor.fetchone() != (True,):
                return False  # another notifier is at it
            after = await events.cursor_of(conn, "kafka")
            until = await events.horizon(conn)
            page = await events.read(conn, after, until, sealed=[False], limit=BATCH)
            if page.end == after:
                return False
            if page.events:
                await asyncio.to_thread(self._send, page.events)
            await events.move_cursor(conn, "kafka", page.end)
        SENT.inc(len(page.events))
        return page.full

    def _connect(self) -> Producer:
        try:
            from confluent_kafka import KafkaException, Producer
        except ImportError:
            raise ConfigurationError(
                "PORTCULLIS_REVIEW_KAFKA_SERVERS is set, and Kafka's client is not installed: "
                "pip install 'portcullis[kafka]'",
                reason="EXTRA_MISSING",
            ) from None
        try:
            return Producer(self._config, logger=logging.getLogger("kafka"))
        except KafkaException as error:
            # Its message quotes values, and one of them may be a password.
            named = re.search(r'property[^"]*"([a-z0-9._]{1,80})"', str(error))
            raise ConfigurationError(
                f"PORTCULLIS_REVIEW_KAFKA_CONFIG: librdkafka does not take {named[1] if named else 'these settings'}",
                reason="BAD_SETTING",
            ) from None

    def _send(self, batch: tuple[Event, ...]) -> None:
        from confluent_kafka import KafkaException

        failures: list[Any] = []

        def heard(error: Any, _message: Any) -> None:
            if error is not None:
                failures.append(error)

        producer = self._producer or self._connect()
        self._producer = None  # kept only if it did well: after a failure it may be beyond use
        try:
            for event in batch:
                message = to_message(event)
                producer.produce(self._topic, on_delivery=heard, **message)
            left = producer.flush(2 * MESSAGE_SECONDS)
        except (BufferError, KafkaException) as error:
            raise Unavailable("Kafka does not take events", reason="KAFKA_UNAVAILABLE") from error
        if failures or left:
            why = failures[0].name() if failures else "no answer"
            raise Unavailable(f"Kafka does not take events: {why}", reason="KAFKA_UNAVAILABLE")
        self._producer = producer


def to_message(event: Event) -> dict[str, Any]:
    """Key, value and headers of an event; the key is its subject, so that what happens to one thing stays in order."""
    from cloudevents.core.bindings.kafka import to_structured
    from cloudevents.core.formats.json import JSONFormat
    from cloudevents.core.v1.event import CloudEvent

    # The library wants the time as a datetime, and writes it.
    about = {**cloud_event.attributes(event), "time": event.at, "datacontenttype": "application/json"}
    message = to_structured(CloudEvent(about, event.data), JSONFormat(), key_mapper=lambda _: event.subject)
    return {"key": message.key, "value": message.value, "headers": message.headers}
