"""The registry's search for look-alikes: exactness, time and bytes at a million rows, and what a billion would take.

Run by `make bench`; prints a table and writes benchmarks/results/registry.json. REGISTRY_ROWS sets the sizes
(1000000; "1000000,10000000" takes an hour and 12 GB). Hashes are those of random pictures, and those of drawn
scenes and their near-duplicates, which crowd together; every search asks for all eight orientations of a picture, as
inspection does. The embedded Postgres as it comes.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import sys
import tempfile
import time
from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from uuid import uuid4

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg import sql
from rich.console import Console
from rich.table import Table

from benchmarks.house import postgres
from services.core.signals import ModelVersion
from services.core.store import images, tenants
from services.core.store.database import Database
from services.core.store.images import RegisteredImage
from services.provenance.fingerprint import PDQ_RADIUS, pdq_orientations
from training.generator.render import render
from training.generator.scenes import draw_scene

RESULTS = Path(__file__).parent / "results" / "registry.json"
GOAL_MS = 50.0
SEARCHES, WARM = 460, 300  # the first ones bring the indexes into memory
TARGETS = 200
BATCH = 20_000
SCENES, NEAR = 2_000, 24  # drawn scenes; a near-duplicate differs in up to so many bits
FAR = 40  # bits up to which a copy that is searched for may differ: some are beyond the radius

Hashes = NDArray[np.uint8]  # (count, 32)


@dataclass(frozen=True, slots=True)
class Figure:
    """`missed` and `false` are searches whose answer is not one of the nearest, found by comparing every row."""

    rows: int
    kind: str
    found_median_ms: float
    found_p95_ms: float
    unknown_median_ms: float
    unknown_p95_ms: float
    missed: int
    false: int
    bytes_a_row: float
    rows_a_second: float
    insert_ms: float


def main() -> None:
    """Measures every size with hashes of both kinds; exits with 1 where the goal is missed at a million."""
    console = Console()
    sizes = [int(size) for size in os.environ.get("REGISTRY_ROWS", "1000000").split(",")]
    figures: list[Figure] = []
    for rows in sizes:
        for kind, hashes in (("random", at_random(rows)), ("scenes", of_scenes(rows))):
            with tempfile.TemporaryDirectory() as folder, postgres.running(Path(folder)) as dsn:
                figures.append(asyncio.run(measure(dsn, kind, hashes)))
                console.print(figures[-1])
    report(console, figures)
    first = [figure for figure in figures if figure.rows == sizes[0]]
    wrong = any(figure.missed or figure.false for figure in figures)
    slow = any(max(figure.found_p95_ms, figure.unknown_p95_ms) > GOAL_MS for figure in first)
    sys.exit(wrong or slow)


def at_random(rows: int) -> Hashes:
    """Hashes that have nothing to do with each other."""
    return np.random.default_rng(1).integers(0, 256, (rows, 32), dtype=np.uint8)


def of_scenes(rows: int) -> Hashes:
    """Hashes of drawn scenes, and of near-duplicates of each."""
    rng = np.random.default_rng(2)
    scenes = [draw_scene(rng, int(rng.integers(1, 4))) for _ in range(SCENES)]
    hashes = list[bytes]()
    for start in range(0, SCENES, 100):
        pictures, _ = render(scenes[start : start + 100], 128)
        for picture in ((pictures.permute(0, 2, 3, 1) + 1) * 127.5).clamp(0, 255).byte().numpy():
            hashes.append(pdq_orientations(picture)[0])
    own = np.frombuffer(b"".join(hashes), np.uint8).reshape(-1, 32)
    out = np.empty((rows, 32), np.uint8)
    for start in range(0, rows, BATCH):
        count = min(BATCH, rows - start)
        out[start : start + count] = changed(rng, own[rng.integers(SCENES, size=count)], NEAR)
    return out


def changed(rng: np.random.Generator, hashes: Hashes, most: int) -> Hashes:
    """Copies in which 0 … `most` bits of each hash are others."""
    order = rng.random((len(hashes), 256)).argsort(axis=1).argsort(axis=1)
    flips = order < rng.integers(0, most + 1, (len(hashes), 1))
    return hashes ^ np.packbits(flips, axis=1)


async def measure(dsn: str, kind: str, hashes: Hashes) -> Figure:
    """Fills the table, searches for copies and for strangers, and compares with every row."""
    rng = np.random.default_rng(3)
    took = fill(dsn, hashes)
    database = await Database.open(dsn)
    targets = changed(rng, hashes[rng.integers(len(hashes), size=TARGETS)], 0)
    async with database.transaction() as conn:
        await tenants.create_tenant(conn, postgres.TENANT)
    registered = {target.tobytes() for target in targets}
    insert_ms = await register(database, registered) / len(registered)
    known, strange = list[float](), list[float]()
    missed = false = 0
    for number in range(SEARCHES):
        views = at_random_views(rng)
        is_copy = number % 2 == 0
        if is_copy:
            views[rng.integers(8)] = changed(rng, targets[[number // 2 % TARGETS]], FAR)[0]
        expected = nearest_of_all(hashes, views) if number >= WARM else set[bytes]()
        await register(database, expected - registered)
        registered |= expected
        begin = time.perf_counter()
        async with database.transaction() as conn:
            found = await images.nearest(conn, [view.tobytes() for view in views], PDQ_RADIUS)
        took_ms = (time.perf_counter() - begin) * 1000
        if number < WARM:
            continue
        (known if is_copy else strange).append(took_ms)
        missed += bool(expected) and (found is None or found.pdq not in expected)
        false += not expected and found is not None
    await database.close()
    return Figure(
        rows=len(hashes),
        kind=kind,
        found_median_ms=round(float(np.median(known)), 1),
        found_p95_ms=round(float(np.percentile(known, 95)), 1),
        unknown_median_ms=round(float(np.median(strange)), 1),
        unknown_p95_ms=round(float(np.percentile(strange, 95)), 1),
        missed=missed,
        false=false,
        bytes_a_row=round(size_of(dsn) / len(hashes), 1),
        rows_a_second=round(len(hashes) / took),
        insert_ms=round(insert_ms, 2),
    )


def at_random_views(rng: np.random.Generator) -> Hashes:
    """Eight orientations of a picture that is not ours."""
    return rng.integers(0, 256, (8, 32), dtype=np.uint8)


def nearest_of_all(hashes: Hashes, views: Hashes) -> set[bytes]:
    """The hashes nearest to any view, found by comparing all; none where they are beyond the radius."""
    words = hashes.view(np.uint64)
    distances = np.min([np.bitwise_count(words ^ view.view(np.uint64)).sum(axis=1) for view in views], axis=0)
    least = distances.min()
    return {row.tobytes() for row in hashes[distances == least]} if least <= PDQ_RADIUS else set()


def fill(dsn: str, hashes: Hashes) -> float:
    """Copies the hashes into this year's partition, then makes its indexes again; the seconds that both took."""
    begin = time.perf_counter()
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("SET statement_timeout = 0; SET synchronous_commit = off; SET maintenance_work_mem = '512MB'")
        indexes = conn.execute("SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'image_hashes'").fetchall()
        for name, _ in indexes:
            conn.execute(sql.SQL("DROP INDEX {}").format(sql.Identifier(name)))
        for start in range(0, len(hashes), BATCH):
            with conn.cursor().copy("COPY image_hashes (pdq) FROM STDIN") as copy:
                text = np.unpackbits(hashes[start : start + BATCH], axis=1) + np.uint8(48)
                copy.write("".join(f"{row.tobytes().decode()}\n" for row in text))
        for _, definition in indexes:
            conn.execute(definition.replace(" ON ONLY ", " ON "))  # in every partition
        took = time.perf_counter() - begin
        conn.execute("VACUUM (ANALYZE) image_hashes")
    return took


def size_of(dsn: str) -> int:
    """Bytes of all partitions with their indexes."""
    with psycopg.connect(dsn) as conn:
        query = "SELECT sum(pg_total_relation_size(relid)) FROM pg_partition_tree('image_hashes') WHERE isleaf"
        row = conn.execute(query).fetchone()
    assert row is not None
    return int(row[0])


async def register(database: Database, hashes: Collection[bytes]) -> float:
    """Registers a picture for each hash; milliseconds that all took, each committed by itself."""
    begin = time.perf_counter()
    for pdq in hashes:
        async with database.transaction() as conn:
            await images.insert(conn, picture(pdq))
    return (time.perf_counter() - begin) * 1000


def picture(pdq: bytes) -> RegisteredImage:
    """A released picture of which only the hash matters."""
    return RegisteredImage(
        image_id=uuid4(),
        tenant=postgres.TENANT,
        decision_id=uuid4(),
        payload_id=secrets.token_bytes(8),
        sha256=secrets.token_bytes(32),
        pdq=pdq,
        pdq_quality=100,
        phash=bytes(8),
        sketch=secrets.token_bytes(3072),
        width=256,
        height=256,
        format="PNG",
        operation="create",
        parents=(),
        depth=1,
        model=ModelVersion("scenes", "1"),
        policy="",
        request_digest="ab" * 32,
        manifest=secrets.token_bytes(4096),
        bare_sha256=secrets.token_bytes(32),
    )


def report(console: Console, figures: list[Figure]) -> None:
    """The table, and the same as JSON."""
    columns = (
        "rows",
        "hashes",
        "copy ms (95%)",
        "stranger ms (95%)",
        "missed",
        "false",
        "bytes/row",
        "rows/s",
        "insert ms",
    )
    table = Table(*columns, title=f"look-alikes within {PDQ_RADIUS} bits, eight orientations; goal {GOAL_MS:.0f} ms")
    for one in figures:
        table.add_row(
            f"{one.rows:,}",
            one.kind,
            f"{one.found_median_ms} ({one.found_p95_ms})",
            f"{one.unknown_median_ms} ({one.unknown_p95_ms})",
            str(one.missed),
            str(one.false),
            f"{one.bytes_a_row:,.0f}",
            f"{one.rows_a_second:,}",
            str(one.insert_ms),
        )
    console.print(table)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps([asdict(figure) for figure in figures], indent=2) + "\n")


if __name__ == "__main__":
    main()
