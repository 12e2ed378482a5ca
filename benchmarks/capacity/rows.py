"""What a row takes: the tables of a house filled through its own store functions with what a real house recorded."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
from psycopg import sql

from benchmarks.house import postgres
from demo.running import RunningHouse
from services.core.evidence import Blob
from services.core.store import decisions, evidence_rows, images, requests
from services.core.store.database import Connection, single_transaction
from services.core.store.decisions import Decision
from services.core.store.images import RegisteredImage
from services.core.store.review_items import NewReviewItem

BATCH = 500  # requests a transaction: what a row takes does not depend on it
PICTURES = 3
HELD_EVERY = 20  # of so many requests one waits for a person
TABLES = (
    "decisions",
    "requests",
    "evidence",
    "images",
    "image_hashes",
    "review_items",
    "review_events",
    "outbox",
    "events",
)


@dataclass(frozen=True, slots=True)
class Sample:
    """What a real house recorded: released requests with their pictures."""

    recorded: Sequence[tuple[Decision, Sequence[RegisteredImage]]]
    held: Decision


async def sample(house: RunningHouse, most: int = 200) -> Sample:
    """The last creating requests of a house, and a held one."""
    async with single_transaction((house.home / "postgres.dsn").read_text().strip()) as conn:
        made = await _ids(conn, "operation <> 'check_prompt' AND verdict = 1", most)
        held = await _ids(conn, "operation = 'edit' AND verdict = 2", 1)
        found = [(await _decision(conn, *one), await images.by_decision(conn, *one)) for one in made]
        return Sample([one for one in found if one[1]], await _decision(conn, *held[0]))


async def fill(dsn: str, of: Sample, number: int) -> None:
    """Records `number` requests, each with `PICTURES` pictures, as the gateway and provenance do."""
    await postgres.govern(dsn)
    for start in range(0, number, BATCH):
        async with single_transaction(dsn) as conn:
            for place in range(start, min(start + BATCH, number)):
                await _request(conn, of, place)


def sizes(dsn: str) -> dict[str, float]:
    """Bytes a row by table, with its indexes and what lies outside of the row."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("VACUUM ANALYZE")
        return {table: _bytes_a_row(conn, table) for table in TABLES}


def measure(folder: Path, of: Sample, number: int) -> dict[str, float]:
    """Bytes a row of each table on a Postgres of its own that holds `number` requests."""
    with postgres.running(folder) as dsn:
        asyncio.run(fill(dsn, of, number))
        return sizes(dsn)


def _bytes_a_row(conn: psycopg.Connection[tuple[int, ...]], table: str) -> float:
    """Of a table, or of all partitions of one."""
    parts = "SELECT relid FROM pg_partition_tree(%s) WHERE isleaf UNION SELECT %s::regclass"
    total = conn.execute(f"SELECT sum(pg_total_relation_size(relid)) FROM ({parts}) AS p", [table, table]).fetchone()
    rows = conn.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table))).fetchone()
    assert total is not None, "an aggregate has a row"
    assert rows is not None, "an aggregate has a row"
    return float(total[0]) / max(rows[0], 1)


async def _request(conn: Connection, of: Sample, place: int) -> None:
    tenant, decision, request = postgres.TENANT, uuid4(), uuid4()
    held = place % HELD_EVERY == 0
    made, pictures = (of.held, ()) if held else of.recorded[place % len(of.recorded)]
    begun = await requests.begin(conn, tenant, request, secrets.token_bytes(32), decision)
    assert isinstance(begun, requests.Begun), "its id is new"
    answer = await _evidence(conn, "answer", timedelta(days=1))
    again = replace(
        made, decision_id=decision, request_id=request, tenant=tenant, account=f"user-{secrets.randbelow(50_000)}",
        created_at=None, digests={name: secrets.token_hex(32) for name in made.digests},
    )  # fmt: skip
    items = []
    if held:
        prompt, image = [await _evidence(conn, kind, timedelta(days=30)) for kind in ("prompt", "image")]
        items.append(
            NewReviewItem(
                uuid4(), "pair", made.verdict, made.reasons, held=True, sealed=False, prompt=prompt, image=image
            )
        )
    await decisions.record(conn, again, items)
    await requests.answer(conn, tenant, request, begun.attempt, answer)
    for number in range(0 if held else PICTURES):
        await images.insert(conn, _another(pictures[number % len(pictures)], decision))


async def _evidence(conn: Connection, kind: evidence_rows.Kind, life: timedelta) -> UUID:
    blob = Blob(uuid4(), secrets.token_bytes(32))
    await evidence_rows.record(conn, postgres.TENANT, kind, blob, life)
    return blob.id


def _another(image: RegisteredImage, decision: UUID) -> RegisteredImage:
    """The same picture as another one: a registry of pictures that nobody made twice."""
    return replace(
        image, image_id=uuid4(), tenant=postgres.TENANT, decision_id=decision, payload_id=secrets.token_bytes(8),
        sha256=secrets.token_bytes(32), bare_sha256=secrets.token_bytes(32), pdq=secrets.token_bytes(32),
        created_at=None, parents=(),
    )  # fmt: skip


async def _ids(conn: Connection, where: str, most: int) -> list[tuple[str, UUID]]:
    cursor = await conn.execute(f"SELECT tenant, decision_id FROM decisions WHERE {where} LIMIT {most}")  # type: ignore[arg-type]
    return await cursor.fetchall()


async def _decision(conn: Connection, tenant: str, decision_id: UUID) -> Decision:
    found = await decisions.get(conn, tenant, decision_id)
    assert found is not None, "its id was just read"
    return found
