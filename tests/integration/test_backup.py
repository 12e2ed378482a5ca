"""A backup as docs/backup.md has it: the running Postgres dumped, keys and evidence copied, put together elsewhere."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from io import BytesIO

import pytest
from PIL import Image
from skimage import data

from portcullis.v1.provenance_pb2 import ORIGIN_OURS_INTACT
from services.commands.own_registry import own_registry
from services.commands.provision import TENANT as REGISTRAR
from services.commands.provision import provision
from services.core.config import HouseSettings
from services.core.evidence import EvidenceStore
from services.core.policy.source import ActivePolicy
from services.core.staff import Analyst
from services.core.store import audit, decisions, embedded, review_events, tenants
from services.core.store.database import Database, migrate
from services.review.desk import ReviewDesk
from services.review.tasks import route_pending
from tests.integration.held_house import DOUBT, PROMPT, TENANT, HeldHouse

FAST = {"fsync": "off", "log_min_messages": "panic"}
ANALYST = Analyst("alice", frozenset({"analyst"}))


@dataclass(frozen=True, slots=True)
class Kept:
    """What the house that was lost had: a held decision, a released picture and where its audit trail ended."""

    decision: decisions.Decision
    picture: bytes
    trail: audit.Head


@dataclass(frozen=True, slots=True)
class Restored:
    """The house that was made of the backup, running."""

    house: HouseSettings
    kept: Kept


@pytest.fixture(scope="module")
def restored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Restored]:
    lost, found, dump = (tmp_path_factory.mktemp(name) for name in ("lost", "found", "backup"))
    with embedded.running(lost, FAST) as server:
        migrate(server.dsn)
        kept = asyncio.run(_work(HouseSettings(home=lost, dsn=server.dsn)))
        programs = server.cluster.programs
        roles, archive = dump / "roles.sql", dump / "portcullis.dump"
        command = [programs / "pg_dumpall", "--roles-only", "--no-role-passwords", f"--dbname={server.dsn}"]
        subprocess.run([*command, f"--file={roles}"], check=True)
        subprocess.run([programs / "pg_dump", "--format=custom", f"--file={archive}", server.dsn], check=True)
        for folder in ("keys", "evidence"):
            shutil.copytree(lost / folder, dump / folder)
    shutil.rmtree(lost)

    for folder in ("keys", "evidence"):
        shutil.copytree(dump / folder, found / folder)
    with embedded.running(found, FAST) as server:
        # The owner's role is there already, which psql tells and goes on.
        command = [programs / "psql", "--quiet", f"--file={roles}", server.dsn]
        told = subprocess.run(command, capture_output=True, text=True).stderr
        assert told.count("ERROR") == told.count('role "portcullis" already exists')
        command = [programs / "pg_restore", "--no-owner", "--exit-on-error", f"--dbname={server.dsn}", archive]
        subprocess.run(command, check=True)
        house = HouseSettings(home=found, dsn=server.dsn)
        migrate(server.dsn)
        asyncio.run(provision(house))
        yield Restored(house, kept)


async def _work(house: HouseSettings) -> Kept:
    """A day in the life of a house: a request is held, a picture released, somebody put on the record."""
    await provision(house)
    db = await Database.open(house.dsn)
    async with db.transaction() as conn:
        await tenants.create_tenant(conn, TENANT)
        await conn.execute("CREATE ROLE auditor NOLOGIN")
        await conn.execute("GRANT SELECT ON audit_events TO auditor")
    evidence = EvidenceStore(house.home / "evidence", house.home / "keys" / "evidence.key")
    held = HeldHouse(house, db, evidence, await ActivePolicy.load(db, 600))
    decision_id = await held.record(held.stop("prompt", DOUBT))
    photo = BytesIO()
    Image.fromarray(data.rocket()).save(photo, "PNG")
    async with own_registry(house) as registry:
        picture, _ = await registry.mark(photo.getvalue(), "PNG", REGISTRAR)
    async with db.transaction() as conn:
        decision = await decisions.get(conn, TENANT, decision_id)
        trail = await audit.head(conn)
    await db.close()
    assert decision is not None
    assert trail.events > 0
    return Kept(decision, picture, trail)


@pytest.fixture
async def db(restored: Restored) -> AsyncIterator[Database]:
    pool = await Database.open(restored.house.dsn)
    yield pool
    await pool.close()


async def test_a_decision_is_there_as_it_was_recorded(restored: Restored, db: Database) -> None:
    async with db.transaction() as conn:
        found = await decisions.get(conn, TENANT, restored.kept.decision.decision_id)

    assert found == restored.kept.decision


async def test_an_open_case_reaches_an_analyst_with_its_content(restored: Restored, db: Database) -> None:
    home = restored.house.home
    evidence = EvidenceStore(home / "evidence", home / "keys" / "evidence.key")
    desk = ReviewDesk(db, evidence, await ActivePolicy.load(db, 600), 600, 10)
    (waiting,) = (await desk.list_items(ANALYST, None, None, None, None, 10)).items
    assert await route_pending(db, waiting.item.item_id)

    claim, content = await desk.claim_next(ANALYST, None)

    assert claim.item.decision_id == restored.kept.decision.decision_id
    assert content.prompt.decode() == PROMPT


async def test_a_released_picture_is_known_by_mark_manifest_and_registry(restored: Restored) -> None:
    async with own_registry(restored.house) as registry:
        inspection = await registry.inspect(restored.kept.picture)

    assert inspection.origin == ORIGIN_OURS_INTACT


async def test_a_role_may_do_what_it_was_granted_and_no_more(db: Database) -> None:
    async with db.transaction() as conn:
        cursor = await conn.execute(
            "SELECT has_table_privilege('auditor', 'audit_events', 'SELECT'),"
            " has_table_privilege('auditor', 'decisions', 'SELECT')"
        )

        assert await cursor.fetchone() == (True, False)


async def test_the_audit_trail_adds_up_to_where_it_ended(restored: Restored, db: Database) -> None:
    async with db.transaction() as conn:
        flaws = [flaw async for flaw in audit.verify(conn, restored.kept.trail)]

    assert flaws == []


async def test_what_was_lost_of_the_trail_since_is_found(restored: Restored, db: Database) -> None:
    """A checkpoint that was taken after the backup tells what the backup lacks."""
    later = audit.Head(restored.kept.trail.events + 100, bytes(32))
    async with db.transaction() as conn:
        flaws = [flaw async for flaw in audit.verify(conn, later)]

    assert flaws != []


async def test_the_chains_of_all_cases_add_up(restored: Restored, db: Database) -> None:
    async with db.transaction() as conn:
        flaws = [flaw async for flaw in review_events.verify(conn)]

    assert flaws == []
