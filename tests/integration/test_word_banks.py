"""Terms of tenants and people of the house: Postgres, the command line, and a filter that follows."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psycopg
import pytest
from typer.testing import CliRunner

from services.commands.banks import app
from services.core.errors import InvalidInput, NotFound, Unavailable
from services.core.store import audit, people, tenants, terms
from services.core.store.database import Database
from services.core.store.people import PersonRow
from services.core.store.terms import Difference, Term
from services.prompt_filter.bank_source import WordBanks
from services.prompt_filter.banks import Banks, TermBank
from services.prompt_filter.name_index import NameIndex

ACME = Term("acme", "exact", "spam", 0.9)
RICH = Term("zorblax prime", "fuzzy", "violence", 0.75, 2, ("buy", "sell"), ("museum",), 7)
ADA = PersonRow("Q1", "Ada Testname", ("Countess Testname",), None, 0.95)
HOUSE = Banks(TermBank([], "terms"), NameIndex([], 2026, "people"), "digest")


@pytest.fixture
async def store(db: Database) -> Database:
    async with db.transaction() as conn:
        for tenant in ("one", "two"):
            await tenants.create_tenant(conn, tenant)
    return db


@pytest.fixture
async def watching(store: Database, database: str) -> AsyncIterator[WordBanks]:
    """Banks that are loaded and followed, as the service does."""
    async with running(WordBanks(store, database, stale_seconds=60)) as banks:
        yield banks


@contextlib.asynccontextmanager
async def running(banks: WordBanks) -> AsyncIterator[WordBanks]:
    await banks.load()
    tasks = [asyncio.create_task(work()) for work in (banks.follow, banks.keep_fresh, banks.keep_people)]
    await asyncio.sleep(0.2)  # until it listens
    yield banks
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def replace(store: Database, tenant: str, bank: str, *rows: Term) -> Difference:
    async with store.transaction() as conn:
        return await terms.replace(conn, tenant, bank, rows, "ada")


def found(banks: WordBanks, tenant: str, text: str) -> list[str]:
    return [text[hit.start : hit.end] for hit in HOUSE.search(text, banks.of(tenant)) if not hit.excepted]


async def seconds_until(true: Callable[[], bool]) -> float:
    begin = time.monotonic()
    while not true():
        assert time.monotonic() - begin < 10
        await asyncio.sleep(0.01)
    return time.monotonic() - begin


async def test_terms_come_back_as_they_were(store: Database) -> None:
    await replace(store, "one", "brand", RICH, ACME)

    async with store.transaction() as conn:
        assert await terms.load(conn, "one", "brand") == [ACME, RICH]


async def test_an_import_tells_what_it_changed_and_leaves_an_audit_row(store: Database) -> None:
    await replace(store, "one", "brand", ACME, RICH)

    difference = await replace(
        store, "one", "brand", Term("acme", "exact", "spam", 0.5), Term("new", "exact", "spam", 1)
    )

    assert difference == Difference(added=1, changed=1, removed=1, same=0)
    async with store.transaction() as conn:
        event = (await audit.latest(conn, 1))[0]
    assert (event.actor, event.action, event.subject) == ("ada", "banks.import", "one/brand")


async def test_an_unknown_tenant_or_a_bad_name_is_refused(store: Database) -> None:
    with pytest.raises(NotFound):
        await replace(store, "nobody", "brand", ACME)
    with pytest.raises(InvalidInput):
        await replace(store, "one", "Bad Name", ACME)


async def test_a_change_is_in_force_within_a_second(store: Database, watching: WordBanks) -> None:
    await replace(store, "one", "brand", ACME)
    assert await seconds_until(lambda: found(watching, "one", "an acme box") == ["acme"]) < 1

    async with store.transaction() as conn:
        await terms.remove(conn, "one", "brand", "ada")
    assert await seconds_until(lambda: not found(watching, "one", "an acme box")) < 1


async def test_polling_finds_a_change_that_nobody_told(store: Database, database: str) -> None:
    banks = WordBanks(store, database, stale_seconds=60)
    await banks.load()
    task = asyncio.create_task(banks.keep_fresh())
    await replace(store, "one", "brand", ACME)

    assert await seconds_until(lambda: found(banks, "one", "an acme box") == ["acme"]) < 1.5
    task.cancel()


async def test_a_bank_removed_and_made_again_is_not_taken_for_the_old_one(store: Database, database: str) -> None:
    banks = WordBanks(store, database, stale_seconds=60)
    await replace(store, "one", "brand", ACME)
    await banks.load()
    async with store.transaction() as conn:
        await terms.remove(conn, "one", "brand", "ada")
    await replace(store, "one", "brand", Term("other", "exact", "spam", 0.9))

    await banks.load()

    assert found(banks, "one", "acme other") == ["other"]


async def test_a_tenants_terms_and_exceptions_touch_no_other_tenant(store: Database, watching: WordBanks) -> None:
    await replace(store, "one", "brand", ACME, Term("acme day", "exception"))
    await replace(store, "two", "brand", ACME)
    await seconds_until(lambda: bool(watching.of("one").terms and watching.of("two").terms))

    assert found(watching, "one", "acme day") == []
    assert found(watching, "two", "acme day") == ["acme"]
    assert found(watching, "three", "acme day") == []


async def test_the_answer_names_the_banks_and_their_digest(store: Database, watching: WordBanks) -> None:
    await replace(store, "one", "brand", ACME)
    await seconds_until(lambda: bool(watching.of("one").versions))

    (version,) = watching.of("one").versions
    assert version.name == "terms:brand"
    assert version.digest.startswith(version.version)


async def test_people_hold_for_every_tenant(store: Database, watching: WordBanks) -> None:
    async with store.transaction() as conn:
        await people.replace(conn, "mine", [ADA], "ada")
    await seconds_until(lambda: watching.of("two").people is not None)

    assert found(watching, "one", "Ada Testname, and Countess Testnme") == ["Ada Testname", "Countess Testnme"]


async def test_people_are_replaced_and_the_difference_told(store: Database) -> None:
    async with store.transaction() as conn:
        await people.replace(conn, "mine", [ADA, PersonRow("Q2", "Bo Testname", (), 1900, 0.5)], "ada")
        difference = await people.replace(conn, "mine", [ADA, PersonRow("Q3", "Cy Testname", (), None, 0.5)], "ada")

        assert difference == Difference(added=1, changed=0, removed=1, same=1)
        assert [row.name for row in await people.load(conn, "mine", "testname", 9)] == ["Ada Testname", "Cy Testname"]


async def test_a_pattern_that_cannot_be_read_closes_the_gate_for_its_tenant_alone(
    store: Database, watching: WordBanks
) -> None:
    await replace(store, "one", "brand", Term("(", "re2", "spam", 0.9))
    await replace(store, "two", "brand", ACME)
    await seconds_until(lambda: bool(watching.of("two").terms))

    with pytest.raises(Unavailable, match="brand"):
        watching.of("one")
    assert found(watching, "two", "acme") == ["acme"]


async def test_banks_that_nobody_confirms_are_not_relied_on(store: Database, database: str) -> None:
    banks = WordBanks(store, database, stale_seconds=0.2)
    await banks.load()
    banks.of("one")
    await asyncio.sleep(0.3)

    with pytest.raises(Unavailable, match="last confirmed"):
        banks.of("one")
    with pytest.raises(Unavailable):
        await banks.ready()


async def test_after_postgres_cut_every_connection_changes_are_followed_again(
    store: Database, database: str, watching: WordBanks
) -> None:
    await replace(store, "one", "brand", ACME)
    with psycopg.connect(database, autocommit=True) as admin:
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    await seconds_until(lambda: found(watching, "one", "an acme box") == ["acme"])
    await replace(store, "one", "brand", Term("other", "exact", "spam", 0.9))

    assert await seconds_until(lambda: found(watching, "one", "acme other") == ["other"]) < 3


@pytest.fixture
def command(store: Database, database: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Runs `portcullis banks …` as its own loop would, and returns what it says."""
    monkeypatch.setenv("PORTCULLIS_DSN", database)

    def run(*arguments: str, code: int = 0) -> str:
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == code, result.output
        return result.output

    return run


async def test_the_commands_bring_a_bank_in_and_out(command: Callable[..., str], tmp_path: Path) -> None:
    file = tmp_path / "brand.csv"
    file.write_text("term,kind,category,score,near\nacme,exact,spam,0.9,cheap|free\nacme bath,exception,,,\n")
    options = ("--tenant", "one", "--bank", "brand")

    dry = await asyncio.to_thread(command, "import", str(file), *options, "--dry-run")
    assert "nothing was written" in dry
    await asyncio.to_thread(command, "show", "brand", "--tenant", "one", code=1)
    await asyncio.to_thread(command, "import", str(file), *options, "--by", "ada")
    exported = await asyncio.to_thread(command, "export", "brand", "--tenant", "one")
    file.write_text(exported)
    again = await asyncio.to_thread(command, "import", str(file), *options)

    assert re.findall(r"│\s+(\d+)", again) == ["0", "0", "0", "2"]
    assert "brand" in await asyncio.to_thread(command, "list")
    assert "2 entries" in await asyncio.to_thread(command, "remove", "brand", "--tenant", "one")


async def test_a_file_with_one_mistake_changes_nothing(
    command: Callable[..., str], store: Database, tmp_path: Path
) -> None:
    await replace(store, "one", "brand", ACME)
    file = tmp_path / "brand.csv"
    file.write_text("term,category,score\nfine,spam,0.9\nbad,spa,0.9\n")

    told = await asyncio.to_thread(command, "import", str(file), "--tenant", "one", "--bank", "brand", code=1)

    assert f"{file}:3:5: category: unknown category 'spa'" in told
    async with store.transaction() as conn:
        assert await terms.load(conn, "one", "brand") == [ACME]


async def test_people_of_a_query_result_are_imported(command: Callable[..., str], tmp_path: Path) -> None:
    file = tmp_path / "people.csv"
    file.write_text("item,itemLabel,dateOfDeath\nhttp://www.wikidata.org/entity/Q5,Ada Testname,1852-01-01\nQ6,Q6,\n")

    told = await asyncio.to_thread(command, "import-people", str(file), "--bank", "mine")

    assert "left out 1 items without a name" in told
    assert "Ada Testname" in await asyncio.to_thread(command, "show", "mine")
    assert "1 entries" in await asyncio.to_thread(command, "remove", "mine")
