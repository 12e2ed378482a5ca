"""The banks of known images in a real Postgres: the store, and a filter that follows it."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Literal, cast

import psycopg
import pytest
from prometheus_client import REGISTRY
from skimage import data
from yoyo import read_migrations
from yoyo.backends.core.postgresql import PostgresqlPsycopgBackend
from yoyo.connections import DatabaseURI

from portcullis.v1.checks_pb2 import STAGE_UPLOAD
from portcullis.v1.image_filter_pb2 import CheckImagesRequest, UncheckedImage
from services.core.errors import InvalidInput, NotFound, Unavailable
from services.core.rpc.door import Context
from services.core.rpc.judge import Judge
from services.core.store import audit, bank_index, tenants
from services.core.store import banks as store
from services.core.store.banks import BankEntry, Hash
from services.core.store.database import MIGRATIONS, Database
from services.core.store.terms import Difference
from services.image_filter.banks import Banks
from services.image_filter.hashes import entry_of
from services.image_filter.pipeline import ImagePipeline
from services.image_filter.refresh import BankRefresh
from services.image_filter.servicer import ImageFilterServicer
from services.image_filter.text_judge import TextJudge
from services.image_filter.text_reader import TextReader

PHOTO = data.astronaut()
ENTRY = BankEntry("bank", "a", (Hash("pdq", bytes(range(32))), Hash("region", bytes(32))), labels=("case-1", "x"))
KNOWN = entry_of(PHOTO, "bank", "astronaut")


@pytest.fixture
async def house(db: Database) -> Database:
    async with db.transaction() as conn:
        for tenant in ("one", "two"):
            await tenants.create_tenant(conn, tenant)
    return db


@pytest.fixture
async def refresh(house: Database, database: str) -> AsyncIterator[BankRefresh]:
    """A pipeline's banks, loaded and followed as the service does."""
    refresh = BankRefresh(house, ImagePipeline((), (), Banks((), "none"), cast(TextReader, None)), 60, database)
    await refresh.load()
    task = asyncio.create_task(refresh.follow())
    await asyncio.sleep(0.2)  # until it listens
    yield refresh
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def put(
    database: Database,
    *entries: BankEntry,
    tenant: str | None = None,
    replacing: Literal["bank", "source", "entries"] = "entries",
    source: str = "",
) -> Difference:
    async with database.transaction() as conn:
        return await store.put(conn, tenant, "bank", entries, "ada", "image_banks.add", replacing, source)


def banks_of(refresh: BankRefresh) -> Banks:
    return refresh._pipeline.banks


async def until(true: Callable[[], bool]) -> None:
    begin = time.monotonic()
    while not true():
        assert time.monotonic() - begin < 10
        await asyncio.sleep(0.01)


async def test_an_entry_comes_back_as_it_was(house: Database) -> None:
    entry = replace(ENTRY, tenant="one", opinion="disputed", enabled=False, source="somewhere")
    await put(house, entry, tenant="one")

    async with house.transaction() as conn:
        assert await store.export(conn, "one", "bank") == [entry]


async def test_the_index_has_the_hashes_of_each_entry(house: Database) -> None:
    other = BankEntry("bank", "b", (Hash("pdq", b"\x01" * 32),), "one")
    await put(house, ENTRY)
    await put(house, other, tenant="one")

    known = await bank_index.load(house)

    places, bits = known.hashes["pdq"]
    assert [str(known.entries[place]) for place in places] == ["a", "b"]
    assert [known.names[known.banks[place]] for place in places] == [(None, "bank"), ("one", "bank")]
    assert [row.tobytes() for row in bits] == [bytes(range(32)), b"\x01" * 32]
    assert [row.tobytes() for row in known.hashes["region"][1]] == [bytes(32)]


async def test_an_index_of_several_pages_is_whole(house: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bank_index, "_PAGE", 2)
    await put(house, *(BankEntry("bank", str(n), (Hash("pdq", bytes([n]) * 32),)) for n in range(7)))

    known = await bank_index.load(house)

    assert [str(entry) for entry in known.entries] == list("0123456")
    assert [row[0] for row in known.hashes["pdq"][1]] == list(range(7))


async def test_what_is_disabled_or_harmless_is_not_in_the_index(house: Database) -> None:
    await put(house, *(replace(ENTRY, entry=name) for name in ("on", "off", "harmless")))
    await put(house, ENTRY, tenant="one")
    async with house.transaction() as conn:
        await store.enable(conn, None, "bank", "off", False, "ada")
        await store.judge(conn, None, "bank", "harmless", "negative_class", "ada")
        await store.enable(conn, "one", "bank", "", False, "ada")

    known = await bank_index.load(house)

    assert [str(entry) for entry in known.entries] == ["on"]
    assert len(known.hashes["pdq"][1]) == 1
    assert len((await bank_index.load(house, everything=True)).ids) == 4


CHANGES: dict[str, Callable[[psycopg.AsyncConnection], object]] = {
    "disable a bank": lambda conn: store.enable(conn, None, "bank", "", False, "ada"),
    "disable an entry": lambda conn: store.enable(conn, None, "bank", "a", False, "ada"),
    "opinion": lambda conn: store.judge(conn, None, "bank", "a", "disputed", "ada"),
    "remove an entry": lambda conn: store.remove(conn, None, "bank", "a", "ada"),
    "remove a bank": lambda conn: store.remove(conn, None, "bank", "", "ada"),
}


@pytest.mark.parametrize("change", CHANGES)
async def test_every_change_gives_a_new_version_and_is_recorded(house: Database, change: str) -> None:
    await put(house, ENTRY)
    async with house.transaction() as conn:
        before = await bank_index.version(conn)
        await CHANGES[change](conn)

        assert await bank_index.version(conn) != before
        (event,) = await audit.latest(conn, 1)
    assert (event.actor, event.subject) == ("ada", "*/bank")


async def test_the_same_entry_again_renews_its_hashes_and_keeps_its_counts(house: Database) -> None:
    renewed = replace(ENTRY, hashes=(Hash("pdq", bytes(32)),))
    await put(house, ENTRY)
    known = await bank_index.load(house)
    async with house.transaction() as conn:
        await bank_index.count_seen(conn, Counter({int(known.ids[0]): 3}))

    difference = await put(house, renewed)

    async with house.transaction() as conn:
        (row,) = await store.entries(conn, None, "bank")
        assert await store.export(conn, None, "bank") == [renewed]
    assert (difference, row.seen) == (Difference(0, 1, 0, 0), 3)


async def test_an_import_makes_up_the_whole_bank(house: Database) -> None:
    await put(house, ENTRY, replace(ENTRY, entry="b"), replace(ENTRY, entry="c"))

    difference = await put(
        house, ENTRY, replace(ENTRY, entry="b", enabled=False), replace(ENTRY, entry="d"), replacing="bank"
    )

    assert difference == Difference(added=1, changed=1, removed=1, same=1)


async def test_a_pull_replaces_what_came_from_its_source_and_leaves_what_people_disabled(house: Database) -> None:
    theirs = [replace(ENTRY, entry=name, source="them") for name in ("gone", "kept")]
    await put(house, replace(ENTRY, entry="own"), *theirs)
    async with house.transaction() as conn:
        await store.enable(conn, None, "bank", "kept", False, "ada")

    difference = await put(house, theirs[1], replace(theirs[1], entry="new"), replacing="source", source="them")

    async with house.transaction() as conn:
        rows = {row.entry: row.enabled for row in await store.entries(conn, None, "bank")}
    assert difference == Difference(added=1, changed=0, removed=1, same=1)
    assert rows == {"own": True, "kept": False, "new": True}


@pytest.mark.parametrize(
    "entry",
    [
        replace(ENTRY, entry=""),
        replace(ENTRY, entry="a\nb"),
        replace(ENTRY, labels=("a|b",)),
        replace(ENTRY, hashes=()),
        replace(ENTRY, hashes=(Hash("pdq", bytes(31)),)),
    ],
)
async def test_a_malformed_entry_is_refused(house: Database, entry: BankEntry) -> None:
    with pytest.raises(InvalidInput):
        await put(house, entry)


async def test_banks_of_nobody_are_not_found(house: Database) -> None:
    with pytest.raises(NotFound, match="tenant 'nobody'"):
        await put(house, ENTRY, tenant="nobody")
    async with house.transaction() as conn:
        with pytest.raises(NotFound, match="no bank of images"):
            await store.entries(conn, "one", "bank")


async def test_a_running_filter_follows_a_change_at_once(house: Database, refresh: BankRefresh) -> None:
    await put(house, KNOWN, tenant="one")

    await until(lambda: len(banks_of(refresh)) == 1)

    assert banks_of(refresh).search(PHOTO, "one")
    assert banks_of(refresh).search(PHOTO, "two") == ()
    assert REGISTRY.get_sample_value("portcullis_image_bank_entries") == 1
    assert (REGISTRY.get_sample_value("portcullis_image_banks_age_seconds") or 99) < 10


async def test_matches_are_written_down_without_a_new_version(house: Database, refresh: BankRefresh) -> None:
    await put(house, KNOWN)
    await until(lambda: len(banks_of(refresh)) == 1)
    version = banks_of(refresh).version
    for _ in range(2):
        banks_of(refresh).search(PHOTO)

    await refresh.write_seen()
    await refresh.write_seen()

    async with house.transaction() as conn:
        (row,) = await store.entries(conn, None, "bank")
        assert await bank_index.version(conn) == version
    assert row.seen == 2
    assert row.last_seen is not None


async def test_counts_that_cannot_be_written_are_kept(house: Database, refresh: BankRefresh) -> None:
    await put(house, KNOWN)
    await until(lambda: len(banks_of(refresh)) == 1)
    banks_of(refresh).search(PHOTO)
    away = BankRefresh(house, refresh._pipeline, 60)
    away._matched = refresh._matched
    await house.close()

    with pytest.raises(Unavailable):
        await away.write_seen()

    assert sum(away._matched.take().values()) == 1


async def test_an_entry_that_is_gone_is_not_counted(house: Database) -> None:
    async with house.transaction() as conn:
        await bank_index.count_seen(conn, Counter({12345: 1}))

        assert await (await conn.execute("SELECT count(*) FROM bank_seen")).fetchone() == (0,)


async def test_banks_that_nobody_confirms_are_not_relied_on(db: Database) -> None:
    pipeline = ImagePipeline((), (), Banks((), "none"), cast(TextReader, None))
    refresh = BankRefresh(db, pipeline, stale_seconds=0.2)
    await refresh.load()
    servicer = ImageFilterServicer(pipeline, refresh, cast(TextJudge, None), cast(Judge, None))
    request = CheckImagesRequest(stage=STAGE_UPLOAD, images=[UncheckedImage(image=b"any")])
    await asyncio.sleep(0.3)

    with pytest.raises(Unavailable, match="banks were last confirmed"):
        await servicer.CheckImages(request, cast(Context, None))


def test_entries_of_before_are_kept_by_the_migration(postgres_dsn: str) -> None:
    parts = {key: str(value) for key, value in psycopg.conninfo.conninfo_to_dict(postgres_dsn).items()}
    with psycopg.connect(postgres_dsn, dbname="postgres", autocommit=True) as conn:
        conn.execute("CREATE DATABASE before_banks")
    parts.pop("dbname")
    with PostgresqlPsycopgBackend(
        DatabaseURI("postgresql+psycopg", None, None, None, None, "before_banks", parts), "_yoyo_migration"
    ) as backend:
        backend.init_database()
        pending = backend.to_apply(read_migrations(str(MIGRATIONS)))
        new = [migration for migration in pending if migration.id >= "0009"]
        backend.apply_migrations(pending.filter(lambda migration: migration.id < "0009"))
        with psycopg.connect(postgres_dsn, dbname="before_banks") as conn:
            conn.execute("INSERT INTO banks (bank) VALUES ('old')")
            for kind in ("pdq", "phash256"):
                conn.execute("INSERT INTO bank_entries VALUES ('old', 'x', %s, %s)", [kind, bytes(range(32))])

        backend.apply_migrations(pending.filter(lambda migration: migration in new))

    with psycopg.connect(postgres_dsn, dbname="before_banks") as conn:
        rows = conn.execute(
            "SELECT tenant, bank, entry, opinion, b.enabled, e.enabled, array_agg(kind ORDER BY kind), min(hash)"
            " FROM banks b JOIN bank_entries e USING (bank_id) JOIN bank_hashes USING (entry_id) GROUP BY 1,2,3,4,5,6"
        ).fetchall()
    assert rows == [(None, "old", "x", "positive_class", True, True, ["pdq", "phash256"], bytes(range(32)))]
