"""Webhooks from the event to the receiver: told once, signed, tried on, parked, shown, never lost."""

from __future__ import annotations

import asyncio
import json
import socket
from base64 import b64encode
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from services.core.errors import InvalidInput
from services.core.evidence import EvidenceStore, create_evidence_key
from services.core.secret_box import SecretBox, create_key
from services.core.store import events, tenants, webhooks
from services.core.store.database import Database
from services.core.store.webhooks import Delivery
from services.review import webhooks as telling
from services.review.addresses import Rules
from services.review.post import Poster
from services.review.upkeep import tidy
from services.review.webhooks import (
    FOR_PLATFORMS,
    GIVE_UP_SECONDS,
    LONGEST_WAIT_SECONDS,
    Deliverer,
    check_types,
    fan_out,
    new_secret,
    show,
    show_figures,
    sign,
    wait_seconds,
)
from tests.unit.review.receiver import Receiver, Writer, answer, make_authority, receiving

DAY = 24 * 3600


@dataclass
class Setting:
    """A house with what delivers, and a good receiver."""

    db: Database
    box: SecretBox
    deliverer: Deliverer
    receiver: Receiver
    authority: Path

    async def add(self, receiver: Receiver | None = None, types: Sequence[str] = FOR_PLATFORMS) -> tuple[UUID, bytes]:
        endpoint_id, secret = uuid4(), new_secret()
        async with self.db.transaction() as conn:
            url = (receiver or self.receiver).url()
            await webhooks.add(conn, endpoint_id, "acme", url, types, self.seal(secret, endpoint_id), "ada")
        return endpoint_id, secret

    def seal(self, secret: bytes, endpoint_id: UUID) -> bytes:
        return self.box.seal(secret, endpoint_id.bytes)

    async def tell(self, what: str = "item.settled", tenant: str = "acme", *, sealed: bool = False) -> None:
        async with self.db.transaction() as conn:
            await events.append(conn, what, "case-1", tenant=tenant, sealed=sealed, resolution="release")

    async def fan_out(self) -> None:
        while await fan_out(self.db):
            pass

    async def deliver(self) -> None:
        """Until nothing is due any more."""
        while await self.deliverer.start_due():
            await self.deliverer.finish()

    async def told(self) -> None:
        await self.fan_out()
        await self.deliver()

    async def deliveries(self, state: webhooks.DeliveryState | None = None) -> list[Delivery]:
        async with self.db.transaction() as conn:
            return await webhooks.deliveries(conn, tenant="acme", state=state, limit=100)

    async def pass_time(self, seconds: float) -> None:
        async with self.db.transaction() as conn:
            await conn.execute(
                "UPDATE webhook_deliveries SET created_at = created_at - make_interval(secs => %(s)s),"
                " due_at = due_at - make_interval(secs => %(s)s), moved_at = moved_at - make_interval(secs => %(s)s),"
                " tried_since = tried_since - make_interval(secs => %(s)s)",
                {"s": seconds},
            )
            await conn.execute(
                "UPDATE webhook_endpoints SET rests_until = rests_until - make_interval(secs => %(s)s),"
                " failing_since = failing_since - make_interval(secs => %(s)s),"
                " old_secret_until = old_secret_until - make_interval(secs => %(s)s)",
                {"s": seconds},
            )


@pytest.fixture
async def setting(governed: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Setting]:
    def resolved(_host: str, port: int, *_: object) -> list[object]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    ca = make_authority(tmp_path / "authority")
    create_key(tmp_path / "webhooks.key")
    box = SecretBox(tmp_path / "webhooks.key")
    async with receiving(answer(204), tmp_path / "authority") as receiver:
        monkeypatch.setattr(socket, "getaddrinfo", resolved)
        rules = Rules.of(range(1, 65536), False, ["127.0.0.0/8"])
        poster = Poster(rules, ca, seconds=1)
        yield Setting(governed, box, Deliverer(governed, box, poster), receiver, tmp_path / "authority")
        poster.close()


async def test_an_event_arrives_signed_and_says_what_happened(setting: Setting) -> None:
    _, secret = await setting.add()
    await setting.tell()

    await setting.told()

    [got] = setting.receiver.received
    body = Webhook(show(secret)).verify(got.body, got.headers)
    assert (body["type"], body["tenant"], body["subject"], body["data"], body["specversion"]) == (
        "item.settled",
        "acme",
        "case-1",
        {"resolution": "release"},
        "1.0",
    )
    assert [delivery.state for delivery in await setting.deliveries()] == ["delivered"]


async def test_a_changed_body_does_not_pass_the_receivers_check(setting: Setting) -> None:
    _, secret = await setting.add()
    await setting.tell()
    await setting.told()
    [got] = setting.receiver.received

    with pytest.raises(WebhookVerificationError):
        Webhook(show(secret)).verify(got.body.replace(b"release", b"uphold!"), got.headers)


async def test_platforms_hear_of_their_own_alone_and_of_nothing_sealed_or_internal(setting: Setting) -> None:
    await setting.add()
    async with setting.db.transaction() as conn:
        await tenants.create_tenant(conn, "other")
    await setting.tell(tenant="other")
    await setting.tell(sealed=True)
    await setting.tell("item.claimed")
    await setting.tell("account.suspended")

    await setting.told()

    assert [json.loads(got.body)["type"] for got in setting.receiver.received] == ["account.suspended"]


async def test_an_endpoint_hears_only_of_what_it_asked_for(setting: Setting) -> None:
    await setting.add(types=["appeal."])
    await setting.tell("item.settled")
    await setting.tell("appeal.decided")

    await setting.told()

    assert [json.loads(got.body)["type"] for got in setting.receiver.received] == ["appeal.decided"]


async def test_an_endpoint_hears_nothing_from_before_it_was_added(setting: Setting) -> None:
    await setting.tell()
    await setting.add()

    await setting.told()

    assert setting.receiver.received == []


async def test_an_event_becomes_one_delivery_however_often_it_is_read(setting: Setting) -> None:
    await setting.add()
    await setting.tell()
    await setting.fan_out()
    async with setting.db.transaction() as conn:
        await events.leave(conn, "webhooks")

    await setting.fan_out()

    assert len(await setting.deliveries()) == 1


async def test_both_secrets_sign_until_the_old_one_ends(setting: Setting) -> None:
    endpoint_id, old = await setting.add()
    new = new_secret()
    async with setting.db.transaction() as conn:
        await webhooks.rotate(conn, endpoint_id, setting.seal(new, endpoint_id), 24)
    await setting.tell()
    await setting.told()
    await setting.pass_time(DAY + 1)
    await setting.tell()

    await setting.told()

    during, after = setting.receiver.received
    for secret, got in ((old, during), (new, during), (new, after)):
        Webhook(show(secret)).verify(got.body, got.headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(show(old)).verify(after.body, after.headers)


async def test_secrets_lie_encrypted(setting: Setting) -> None:
    _, secret = await setting.add()

    async with setting.db.transaction() as conn:
        rows = await (await conn.execute("SELECT secret FROM webhook_endpoints")).fetchall()

    assert all(secret not in row[0] and b64encode(secret) not in row[0] for row in rows)


async def test_a_receiver_that_fails_is_asked_again_later_under_the_same_id(setting: Setting) -> None:
    await setting.add()
    setting.receiver.behave = answer(500)
    await setting.tell()
    await setting.told()
    [failed] = await setting.deliveries()
    setting.receiver.behave = answer(200)

    await setting.deliver()
    too_early = len(setting.receiver.received)
    await setting.pass_time(10)
    await setting.deliver()

    assert (failed.state, failed.attempt, failed.status, too_early) == ("pending", 1, "HTTP 500", 1)
    first, second = setting.receiver.received
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == str(failed.delivery_id)
    assert [(found.state, found.attempt) for found in await setting.deliveries()] == [("delivered", 2)]


async def test_what_fails_for_a_day_is_parked_shown_and_can_be_sent_again(setting: Setting) -> None:
    await setting.add()
    setting.receiver.behave = answer(500)
    await setting.tell()
    await setting.told()
    for _ in range(20):
        await setting.pass_time(2.5 * 3600)
        await setting.deliver()
    [parked] = await setting.deliveries("parked")
    tries = len(setting.receiver.received)
    setting.receiver.behave = answer(200)

    async with setting.db.transaction() as conn:
        await webhooks.resend(conn, delivery_id=parked.delivery_id)
    await setting.deliver()

    assert (parked.status, parked.attempt) == ("HTTP 500", 11)
    assert tries == 11
    assert setting.receiver.received[-1].headers["webhook-id"] == str(parked.delivery_id)
    assert [found.state for found in await setting.deliveries()] == ["delivered"]


async def test_all_that_waited_a_day_for_a_dead_endpoint_is_parked_together(setting: Setting) -> None:
    endpoint_id, _ = await setting.add()
    setting.receiver.behave = answer(503)
    for _ in range(5):
        await setting.tell()
    await setting.told()
    await setting.pass_time(GIVE_UP_SECONDS + 1)
    await setting.tell()

    await setting.told()
    parked, pending = await setting.deliveries("parked"), await setting.deliveries("pending")
    async with setting.db.transaction() as conn:
        again = await webhooks.resend(conn, endpoint_id=endpoint_id)

    assert (len(parked), len(pending), again) == (5, 1, 5)


async def test_a_slow_receiver_holds_up_no_other_and_is_asked_one_thing_at_a_time(setting: Setting) -> None:
    async def hang(writer: Writer) -> None:
        await asyncio.sleep(60)

    async with receiving(hang, setting.authority) as slow:
        await setting.add(slow)
        await setting.add()
        for _ in range(4):
            await setting.tell()
        await setting.fan_out()

        async with asyncio.timeout(10):
            while len(setting.receiver.received) < 4:
                await setting.deliverer.start_due()
                await asyncio.sleep(0.01)
        while_hanging = (slow.working, len(slow.received))
        await setting.deliverer.finish()

    assert while_hanging == (1, 1)
    assert setting.receiver.most_at_once == 1


async def test_an_endpoint_that_fails_rests_before_the_next_is_tried(setting: Setting) -> None:
    await setting.add()
    setting.receiver.behave = answer(500)
    for _ in range(4):
        await setting.tell()

    await setting.told()

    assert len(setting.receiver.received) == 1


async def test_a_receiver_that_is_gone_is_told_nothing_more_until_it_is_wanted(setting: Setting) -> None:
    await setting.add()
    setting.receiver.behave = answer(410)
    await setting.tell()
    await setting.tell()
    await setting.told()
    await setting.tell()
    await setting.told()
    async with setting.db.transaction() as conn:
        [endpoint] = await webhooks.endpoints(conn, "acme")
    parked = await setting.deliveries()
    setting.receiver.behave = answer(200)

    async with setting.db.transaction() as conn:
        await webhooks.resend(conn, delivery_id=parked[0].delivery_id)
    await setting.deliver()

    assert (endpoint.enabled, [found.state for found in parked]) == (False, ["parked", "parked"])
    assert len(setting.receiver.received) == 2


async def test_a_delivery_whose_notifier_was_killed_is_sent_again_after_its_lease(setting: Setting) -> None:
    await setting.add()
    await setting.tell()
    await setting.fan_out()
    async with setting.db.transaction() as conn:
        [lost] = await webhooks.claim(conn, 10, telling.LEASE_SECONDS)

    await setting.deliver()
    within = len(setting.receiver.received)
    await setting.pass_time(telling.LEASE_SECONDS + 1)
    await setting.deliver()

    assert within == 0
    assert [got.headers["webhook-id"] for got in setting.receiver.received] == [str(lost.delivery_id)]


async def test_a_word_of_failure_that_comes_late_undoes_no_success(setting: Setting) -> None:
    await setting.add()
    await setting.tell()
    await setting.fan_out()
    async with setting.db.transaction() as conn:
        [late] = await webhooks.claim(conn, 10, telling.LEASE_SECONDS)
    await setting.pass_time(telling.LEASE_SECONDS + 1)
    await setting.deliver()

    async with setting.db.transaction() as conn:
        await webhooks.failed(conn, late, "late", wait_seconds=1, rest_seconds=1, give_up_seconds=DAY)

    assert [(found.state, found.status) for found in await setting.deliveries()] == [("delivered", "HTTP 204")]


async def test_a_secret_that_cannot_be_opened_sends_nothing_unsigned(setting: Setting) -> None:
    await setting.add()
    async with setting.db.transaction() as conn:
        await conn.execute("UPDATE webhook_endpoints SET secret = secret || 'x'::bytea")
    await setting.tell()

    await setting.told()

    [found] = await setting.deliveries()
    assert (found.state, found.status) == ("pending", "this secret cannot be opened with our key")
    assert setting.receiver.received == []


async def test_figures_name_no_address(setting: Setting) -> None:
    await setting.add()
    setting.receiver.behave = answer(500)
    await setting.tell()
    await setting.told()

    await show_figures(setting.db)

    assert REGISTRY.get_sample_value("portcullis_webhook_endpoints", {"state": "failing"}) == 1
    assert REGISTRY.get_sample_value("portcullis_webhook_deliveries", {"state": "pending"}) == 1
    labels = {value for metric in REGISTRY.collect() for sample in metric.samples for value in sample.labels.values()}
    assert not any("hooks" in label or "acme" in label for label in labels)


async def test_what_was_delivered_is_forgotten_and_what_is_parked_stays(setting: Setting) -> None:
    await setting.add()
    await setting.tell()
    await setting.told()
    setting.receiver.behave = answer(410)
    await setting.tell()
    await setting.told()
    await setting.pass_time(31 * DAY)

    async with setting.db.transaction() as conn:
        forgotten = await webhooks.forget_delivered(conn, 30, 100)

    assert (forgotten, [found.state for found in await setting.deliveries()]) == (1, ["parked"])


async def test_a_parked_delivery_outlives_its_event(setting: Setting, tmp_path: Path) -> None:
    create_evidence_key(tmp_path / "evidence.key")
    await setting.add()
    setting.receiver.behave = answer(410)
    await setting.tell()
    await setting.told()
    async with setting.db.transaction() as conn:
        await conn.execute("UPDATE events SET at = at - interval '31 days'")

    await tidy(setting.db, EvidenceStore(tmp_path / "evidence", tmp_path / "evidence.key"), 30)

    setting.receiver.behave = answer(200)
    [parked] = await setting.deliveries("parked")
    async with setting.db.transaction() as conn:
        left = await (await conn.execute("SELECT count(*) FROM events")).fetchone()
        await webhooks.resend(conn, delivery_id=parked.delivery_id)
    await setting.deliver()
    assert left == (0,)
    assert json.loads(setting.receiver.received[-1].body)["type"] == "item.settled"


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_the_wait_grows_to_two_hours_and_varies_by_a_quarter(attempt: int, chance: float) -> None:
    wait = wait_seconds(attempt, chance)

    assert 0.75 * 5 <= wait <= 1.25 * LONGEST_WAIT_SECONDS
    assert wait <= 1.25 / 0.75 * wait_seconds(attempt + 1, chance)


@given(st.binary(min_size=1, max_size=64), st.text(max_size=200))
def test_what_is_signed_passes_the_librarys_check(key: bytes, text: str) -> None:
    body = json.dumps({"text": text})

    headers = sign("id-1", datetime.now(tz=UTC), body, [b"another", key])

    assert Webhook(show(key)).verify(body, dict(headers)) == {"text": text}


@pytest.mark.parametrize("types", [["item.claimed"], ["secret"], [""], ["item.settled", "x"]])
def test_types_that_platforms_may_not_have_are_refused(types: list[str]) -> None:
    with pytest.raises(InvalidInput, match="platforms are told of"):
        check_types(types)


def test_without_types_an_endpoint_hears_of_all_that_platforms_may() -> None:
    assert check_types([]) == list(FOR_PLATFORMS)
