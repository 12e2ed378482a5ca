from __future__ import annotations

import socket
import time

import psycopg
import pytest
from kombu.exceptions import OperationalError

from services.core.config import HouseSettings
from services.core.errors import ConfigurationError, Unavailable
from services.review import broker
from services.review.broker import choose, install_pgmq
from services.review.celery_app import make_app
from services.review.settings import ReviewSettings

DSN = "postgresql://db.example/portcullis"


def test_the_default_is_pgmq_in_our_own_postgres() -> None:
    chosen = choose("", DSN, 30, listens=True)
    assert chosen.url.startswith("pgmq://")
    assert chosen.options["conn_string"] == DSN


def test_rabbitmq_gets_quorum_queues_and_confirms() -> None:
    chosen = choose("amqp://mq.example//", DSN, 30, listens=True)
    assert (chosen.queue_type, chosen.options) == ("quorum", {"confirm_publish": True})


def test_redis_delivers_again_after_the_visibility_timeout() -> None:
    options = choose("rediss://cache.example/0", DSN, 30, listens=True).options
    assert options == {"visibility_timeout": 30, "unacked_restore_throttle": 1}


@pytest.mark.parametrize("scheme", ["redis", "amqp"])
def test_who_sends_gives_up_on_a_silent_broker(scheme: str, database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker, "SILENCE_SECONDS", 0.3)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        house = HouseSettings(dsn=database, broker_url=f"{scheme}://127.0.0.1:{silent.getsockname()[1]}/0")
        app = make_app(house, ReviewSettings(), listens=False)
        began = time.monotonic()
        with pytest.raises(OperationalError):
            app.send_task("review.route_item", ["x"], retry=False)
    assert time.monotonic() - began < 30, "without a limit it would wait for ever"


@pytest.mark.parametrize("url", ["filesystem://", "memory://", "sqla+sqlite:///x", "sqs://", "nonsense"])
def test_a_broker_that_could_lose_messages_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="PORTCULLIS_BROKER_URL"):
        choose(url, DSN, 30, listens=True)


def test_a_refusal_does_not_repeat_the_url() -> None:
    with pytest.raises(ConfigurationError) as caught:
        choose("sqs://someone:hush@example", DSN, 30, listens=True)
    assert "hush" not in caught.value.message


def test_installing_pgmq_twice_does_no_harm(database: str) -> None:
    install_pgmq(database)
    install_pgmq(database)

    with psycopg.connect(database) as conn:
        conn.execute("SELECT pgmq.create('doorbell')")
        row = conn.execute("SELECT queue_name FROM pgmq.list_queues()").fetchone()
    assert row == ("doorbell",)


def test_installing_without_postgres_is_unavailable() -> None:
    with pytest.raises(Unavailable):
        install_pgmq("postgresql://127.0.0.1:9/portcullis")
