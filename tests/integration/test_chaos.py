"""What judges a house under faults: ways that can be slowed and cut, and books that tell what callers were not told."""

from __future__ import annotations

import asyncio
import socket
import time
from uuid import UUID, uuid4

import pytest

from benchmarks.chaos import books
from benchmarks.chaos.link import Link
from benchmarks.chaos.traffic import Request
from services.core.clearance import digest
from services.core.store import accounts, decisions
from services.core.store.database import Database
from services.core.store.decisions import Decision
from services.core.verdicts import Verdict

PROMPT = "a red circle"


@pytest.fixture
async def link():
    """A way to a server that sends back what it gets."""

    async def echo(reader, writer):
        while data := await reader.read(100):
            writer.write(data)
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        here = probe.getsockname()
    way = Link(here, server.sockets[0].getsockname())
    await way.open()
    reader, writer = await asyncio.open_connection(*here)

    async def say(word: bytes) -> bytes:
        writer.write(word)
        return await reader.read(100)

    yield way, say
    writer.close()
    await way.close()
    server.close()


async def test_a_link_passes_on_and_delays(link):
    way, say = link
    assert await say(b"at once") == b"at once"
    way.delay = 0.1
    began = time.monotonic()
    assert await say(b"later") == b"later"
    assert time.monotonic() - began >= 0.2  # there and back


async def test_a_cut_link_is_silent_and_loses_nothing(link):
    way, say = link
    way.passing.clear()
    saying = asyncio.create_task(say(b"kept"))
    await asyncio.sleep(0.2)
    assert not saying.done()
    way.passing.set()
    assert await saying == b"kept"


async def answered(db: Database, kind: str = "create", *, used: int = 1, tenant: str = "acme", **told) -> Request:
    """A creation that was answered as it was written, at the cost of one credit."""
    request = Request("a fault", "acme", kind, PROMPT, answered=True, rendered=True, decision_id=str(uuid4()), **told)
    digests = {"prompt": digest(PROMPT.encode()), "output0": "ab" * 32}
    decision = Decision(
        UUID(request.decision_id),
        UUID(request.request_id),
        tenant,
        request.account,
        kind,
        Verdict.ALLOW,
        (),
        (),
        "ab" * 32,
        (),
        digests,
    )
    async with db.transaction() as conn:
        await accounts.get_or_create(conn, "acme", request.account)
        await decisions.record(conn, decision, [])
        await conn.execute(
            "INSERT INTO credits (tenant, account, month, granted, used, packs) VALUES (%s, %s, now(), 9, %s, 0)",
            ["acme", request.account, used],
        )
    return request


def breaches(dsn: str, request: Request) -> set[str]:
    found = books.audit(dsn, [request])
    return {name for name in books.Findings.__dataclass_fields__ if getattr(found, name)}


async def test_a_request_that_went_well_is_no_breach(governed, database):
    assert breaches(database, await answered(governed)) == set()


async def test_an_answer_that_is_not_written_is_lost(governed, database):
    request = Request("a fault", "acme", "check", PROMPT, answered=True, decision_id=str(uuid4()))
    assert breaches(database, request) == {"lost"}


async def test_a_case_that_is_not_written_is_lost(governed, database):
    assert breaches(database, await answered(governed, held=[str(uuid4())])) == {"lost"}


async def test_a_picture_that_is_not_registered_is_unchecked(governed, database):
    assert breaches(database, await answered(governed, images=[str(uuid4())])) == {"unchecked"}


async def test_any_picture_of_a_violating_prompt_is_unchecked(governed, database):
    assert "unchecked" in breaches(database, await answered(governed, "violating", images=[str(uuid4())]))


async def test_two_credits_for_one_picture_are_charged_twice(governed, database):
    assert breaches(database, await answered(governed, used=2)) == {"charged_twice"}


async def test_a_picture_for_nothing_is_told(governed, database):
    assert breaches(database, await answered(governed, used=0)) == {"not_charged"}


async def test_a_decision_about_other_words_is_anothers(governed, database):
    request = await answered(governed)
    request.prompt = "a blue square"
    assert breaches(database, request) == {"wrong_tenant"}


async def test_a_request_without_an_answer_is_told(governed, database):
    assert breaches(database, Request("a fault", "acme", "check", PROMPT)) == {"unanswered"}
