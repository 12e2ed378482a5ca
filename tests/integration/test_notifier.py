"""The notifier as a process: killed with -9 between delivery and mark, and with events for a real Kafka protocol."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_structured
from cloudevents.core.formats.json import JSONFormat
from confluent_kafka import Consumer, Producer, TopicPartition
from standardwebhooks.webhooks import Webhook

from services.core.errors import ConfigurationError, Unavailable
from services.core.secret_box import SecretBox, create_key
from services.core.store import events, webhooks
from services.core.store.database import Database
from services.review import kafka
from services.review.kafka import KafkaSink
from services.review.settings import ReviewSettings
from services.review.webhooks import LEASE_SECONDS, new_secret, show
from tests.unit.review.receiver import Receiver, answer, make_authority, receiving

ROOT = Path(__file__).parents[2]
TOPIC = "portcullis.events"


class Running:
    """The notifier on a home of its own, posting to a receiver with a test authority."""

    def __init__(self, home: Path, dsn: str, receiver: Receiver, **more: str) -> None:
        self.environment = os.environ | {
            "PORTCULLIS_HOME": str(home),
            "PORTCULLIS_DSN": dsn,
            "PORTCULLIS_REVIEW_NOTIFIER_METRICS_PORT": "0",
            "PORTCULLIS_REVIEW_POLL_SECONDS": "0.2",
            "PORTCULLIS_REVIEW_WEBHOOK_PORTS": f"[{receiver.port}]",
            "PORTCULLIS_REVIEW_WEBHOOK_INSIDE": '["localhost"]',
            "PORTCULLIS_REVIEW_WEBHOOK_CA": str(home / "authority" / "ca.pem"),
            **more,
        }
        self.log = home / "notifier.log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "services.review.notifier"], cwd=ROOT, env=self.environment, stderr=log
            )

    def end(self, number: signal.Signals) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(20)


@pytest.fixture
async def receiver(tmp_path: Path) -> AsyncIterator[Receiver]:
    make_authority(tmp_path / "authority")
    async with receiving(answer(200), tmp_path / "authority") as receiver:
        yield receiver


@pytest.fixture
def running(tmp_path: Path, database: str, receiver: Receiver) -> Iterator[Callable[..., Running]]:
    started: list[Running] = []

    def run(**more: str) -> Running:
        started.append(Running(tmp_path, database, receiver, **more))
        started[-1].start()
        return started[-1]

    create_key(tmp_path / "keys" / "webhooks.key")
    yield run
    for one in started:
        if one.process is not None and one.process.poll() is None:
            one.end(signal.SIGKILL)


@pytest.fixture
def endpoint(governed: Database, tmp_path: Path, receiver: Receiver) -> Callable[[], Awaitable[bytes]]:
    async def add() -> bytes:
        endpoint_id, secret = uuid4(), new_secret()
        sealed = SecretBox(tmp_path / "keys" / "webhooks.key").seal(secret, endpoint_id.bytes)
        async with governed.transaction() as conn:
            await webhooks.add(conn, endpoint_id, "acme", receiver.url("localhost"), ["item."], sealed, "ada")
        return secret

    return add


async def tell(db: Database, subject: str, *, what: str = "item.settled", sealed: bool = False) -> None:
    async with db.transaction() as conn:
        await events.append(conn, what, subject, tenant="acme", sealed=sealed, resolution="uphold")


async def until(holds: Callable[[], bool], seconds: float = 30) -> None:
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110 - another process tells nobody
            await asyncio.sleep(0.02)


def state(dsn: str) -> Any:
    with psycopg.connect(dsn) as conn:
        return conn.execute("SELECT delivery_id, state FROM webhook_deliveries").fetchone()


async def test_killed_between_delivery_and_mark_it_delivers_again_under_the_same_id(
    governed: Database, database: str, receiver: Receiver, running: Callable[..., Running], endpoint: Any
) -> None:
    secret = await endpoint()
    await tell(governed, "case-1")
    with psycopg.connect(database) as conn:
        # Nothing can be marked while the test holds the endpoint... which it takes once the request has come.
        async def behave(writer: asyncio.StreamWriter) -> None:
            await asyncio.to_thread(conn.execute, "SELECT 1 FROM webhook_deliveries FOR UPDATE")
            await answer(200)(writer)

        receiver.behave = behave
        notifier = running()
        await until(lambda: blocked(database))
        notifier.end(signal.SIGKILL)
    before = state(database)
    receiver.behave = answer(200)
    with psycopg.connect(database) as conn:
        conn.execute(f"UPDATE webhook_endpoints SET rests_until = rests_until - interval '{LEASE_SECONDS} seconds'")

    notifier.start()
    await until(lambda: state(database)[1] == "delivered")

    assert before[1] == "pending"
    assert [UUID(got.headers["webhook-id"]) for got in receiver.received] == [before[0]] * 2
    for got in receiver.received:
        assert Webhook(show(secret)).verify(got.body, got.headers)["subject"] == "case-1"


def blocked(dsn: str) -> bool:
    """Whether the notifier has its answer and waits for the row to mark it."""
    with psycopg.connect(dsn) as conn:
        row = conn.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            " AND query LIKE 'UPDATE webhook_deliveries SET state = ''delivered''%'"
        ).fetchone()
    return row == (1,)


async def test_a_stop_is_prompt_and_clean_and_the_log_holds_neither_address_nor_secret(
    governed: Database, receiver: Receiver, running: Callable[..., Running], endpoint: Any
) -> None:
    secret = await endpoint()
    receiver.behave = answer(500)
    notifier = running(PORTCULLIS_LOG_LEVEL="debug")
    await tell(governed, "case-1")
    await until(lambda: len(receiver.received) == 1)
    await until(lambda: "HTTP 500" in notifier.log.read_text())

    status = notifier.end(signal.SIGTERM)

    log = notifier.log.read_text()
    assert status == 0
    assert "webhooks?from" not in log
    assert show(secret) not in log


@pytest.fixture(scope="module")
def broker() -> Iterator[str]:
    """librdkafka's own cluster, which speaks the real protocol on a real socket, for the life of this client."""
    host = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "ignored"})
    brokers = host.list_topics(timeout=10).brokers.values()
    yield ",".join(f"{one.host}:{one.port}" for one in brokers)
    del host


def taken(broker: str, topic: str, count: int) -> list[Any]:
    """The first `count` messages of a topic."""
    consumer = Consumer({"bootstrap.servers": broker, "group.id": "reader", "auto.offset.reset": "earliest"})
    for _ in range(100):  # the producer's first message makes the topic
        if partitions := consumer.list_topics(topic, timeout=10).topics[topic].partitions:
            break
        time.sleep(0.1)
    consumer.assign([TopicPartition(topic, number, 0) for number in partitions])
    found: list[Any] = []
    for _ in range(300):
        message = consumer.poll(0.1)
        if message is not None and message.error() is None:
            found.append(message)
        if len(found) == count:
            break
    consumer.close()
    return found


async def test_events_reach_kafka_as_cloudevents_in_order_and_nothing_sealed_does(
    governed: Database, database: str, broker: str, running: Callable[..., Running]
) -> None:
    await tell(governed, "case-1", what="item.opened")
    await tell(governed, "hidden", sealed=True)
    running(PORTCULLIS_REVIEW_KAFKA_SERVERS=broker, PORTCULLIS_REVIEW_KAFKA_TOPIC=TOPIC)
    await tell(governed, "case-1")
    await tell(governed, "case-2")

    messages = await asyncio.to_thread(taken, broker, TOPIC, 3)

    told = [
        from_structured(KafkaMessage(dict(message.headers()), message.key(), message.value()), JSONFormat())
        for message in messages
    ]
    assert sorted((event.get_subject(), event.get_type(), event.get_extension("tenant")) for event in told) == [
        ("case-1", "item.opened", "acme"),
        ("case-1", "item.settled", "acme"),
        ("case-2", "item.settled", "acme"),
    ]
    of_first = [event.get_type() for event in told if event.get_subject() == "case-1"]
    assert of_first == ["item.opened", "item.settled"]
    assert {message.key() for message in messages} == {b"case-1", b"case-2"}
    assert told[0].get_specversion() == "1.0"
    assert told[-1].get_data() == {"resolution": "uphold"}


def sink(broker: str, topic: str, **config: str | int) -> KafkaSink:
    return KafkaSink(ReviewSettings(kafka_servers=broker, kafka_topic=topic, kafka_config=config))


async def cursor(db: Database) -> int:
    async with db.transaction() as conn:
        return await events.cursor_of(conn, "kafka")


async def test_the_cursor_moves_only_after_the_broker_has_acknowledged(
    governed: Database, broker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await tell(governed, "case-1")
    with monkeypatch.context() as patch:
        patch.setitem(kafka.OURS, "message.timeout.ms", 500)
        with pytest.raises(Unavailable, match="Kafka does not take events"):
            await sink("127.0.0.1:9", "outage").send_next(governed)
    during = await cursor(governed)

    await sink(broker, "outage").send_next(governed)
    messages = await asyncio.to_thread(taken, broker, "outage", 1)

    assert (during, await cursor(governed) > 0) == (0, True)
    assert json.loads(messages[0].value())["subject"] == "case-1"


async def test_what_was_acknowledged_is_not_sent_again(governed: Database, broker: str) -> None:
    await tell(governed, "case-1")
    first = sink(broker, "once")
    await first.send_next(governed)
    await first.send_next(governed)
    await tell(governed, "case-2")
    await first.send_next(governed)

    messages = await asyncio.to_thread(taken, broker, "once", 2)

    assert sorted(message.key() for message in messages) == [b"case-1", b"case-2"]


def test_settings_that_librdkafka_refuses_are_named_without_their_values() -> None:
    with pytest.raises(ConfigurationError) as caught:
        sink("127.0.0.1:9", TOPIC, **{"sasl.passwort": "hidden-word"})

    assert "sasl.passwort" in caught.value.message
    assert "hidden-word" not in caught.value.message


def test_without_the_client_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "confluent_kafka", None)

    with pytest.raises(ConfigurationError, match=r"pip install 'portcullis\[kafka\]'"):
        sink("127.0.0.1:9", TOPIC)
