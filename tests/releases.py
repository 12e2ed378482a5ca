"""What each release left in the field: its schema with a few rows, and the checksums of its migrations.

`python -m tests.releases 0.2.0` writes both into tests/data/releases for the version that is being released.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg

from services.commands.default_policy import DEFAULT_POLICY
from services.core.evidence import Blob
from services.core.signals import ModelVersion, Signal
from services.core.store import audit, decisions, embedded, evidence_rows, images, policies, tenants
from services.core.store.database import MIGRATIONS, migrate, single_transaction
from services.core.store.decisions import Decision
from services.core.store.images import RegisteredImage
from services.core.store.review_items import NewReviewItem
from services.core.verdicts import Reason, Verdict

RELEASES = Path(__file__).parent / "data" / "releases"
CHECKSUMS = RELEASES / "migrations.sha256"

# What the rows of a release hold.
TENANT, ACCOUNT, ACTOR = "acme", "user-1", "operator/ada"
DECISION, ITEM, PICTURE, EVIDENCE = (UUID(int=number) for number in range(1, 5))
FILE_SHA256 = bytes(range(32))
MODEL = ModelVersion("scenes", "1", "ab" * 32)
# Made every month and year, so that they differ with the day: the tables that they are parts of do not.
PARTITIONS = ("decisions_2*", "image_hashes_2*")


@dataclass(frozen=True, slots=True)
class Column:
    """A column as those who write and read it must know it."""

    kind: str
    required: bool


Tables = dict[str, dict[str, Column]]


def dump_of(version: str) -> str:
    """The database of a release, as SQL for psql."""
    return gzip.decompress((RELEASES / f"{version}.sql.gz").read_bytes()).decode()


def newest() -> str:
    """The last version that left its database here."""
    versions = [path.name.removesuffix(".sql.gz") for path in RELEASES.glob("*.sql.gz")]
    return max(versions, key=lambda version: [int(part) for part in version.split(".")])


def restore(dsn: str, dump: str) -> None:
    """Fills an empty database from a dump."""
    command = [_program("psql"), "--quiet", "--no-psqlrc", "--set=ON_ERROR_STOP=1", dsn]
    subprocess.run(command, input=dump, text=True, check=True, capture_output=True)


def schema(dsn: str) -> str:
    """Everything but rows and dated partitions, as pg_dump says it."""
    apart = [f"--exclude-table={name}" for name in PARTITIONS]
    said = subprocess.run(
        [_program("pg_dump"), "--schema-only", "--no-owner", *apart, dsn], check=True, capture_output=True, text=True
    )
    # The token after \restrict is drawn anew by each pg_dump.
    return "\n".join(line for line in said.stdout.splitlines() if not line.startswith(("\\restrict", "\\unrestrict")))


def tables(conn: psycopg.Connection[Any]) -> Tables:
    """All tables with their columns; one is required if a row cannot be written without naming it."""
    found: Tables = {}
    for table, column, kind, required in conn.execute(
        "SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod),"
        " a.attnotnull AND NOT a.atthasdef AND a.attidentity = '' FROM pg_attribute a"
        " JOIN pg_class c ON c.oid = a.attrelid WHERE c.relnamespace = 'public'::regnamespace"
        " AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND a.attnum > 0 AND NOT a.attisdropped"
    ):
        found.setdefault(table, {})[column] = Column(kind, required)
    return found


def breaks(before: Tables, after: Tables) -> Iterator[str]:
    """What code that knows the schema `before` would miss or leave out on `after`."""
    for table, columns in before.items():
        if table not in after:
            yield f"{table} is gone"
            continue
        for column, was in columns.items():
            now = after[table].get(column)
            if now is None:
                yield f"{table}.{column} is gone"
            elif now.kind != was.kind:
                yield f"{table}.{column} was {was.kind} and is {now.kind}"
            elif now.required and not was.required:
                yield f"{table}.{column} must be named now"
        for column in after[table].keys() - columns.keys():
            if after[table][column].required:
                yield f"{table}.{column} is new and must be named"


def checksums() -> dict[str, str]:
    """The sha256 of each migration as it was released, by its file's name."""
    lines = (line.split() for line in CHECKSUMS.read_text(encoding="utf-8").splitlines())
    return {name: digest for digest, name in lines}


def _program(name: str) -> str:
    return str(embedded.programs() / name)


def main(version: str) -> None:
    """Writes the database of this checkout as that of `version`, and the checksums of its migrations."""
    RELEASES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, embedded.running(Path(folder), {"fsync": "off"}) as server:
        migrate(server.dsn)
        asyncio.run(_write_rows(server.dsn))
        command = [_program("pg_dump"), "--no-owner", "--inserts", server.dsn]
        dump = subprocess.run(command, check=True, capture_output=True).stdout
    (RELEASES / f"{version}.sql.gz").write_bytes(gzip.compress(dump, 9, mtime=0))
    lines = (f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in sorted(MIGRATIONS.glob("*")))
    CHECKSUMS.write_text("".join(lines), encoding="utf-8")


async def _write_rows(dsn: str) -> None:
    reason = Reason("violence", "says why", 0.6, 0.5, Verdict.REVIEW)
    signals = (Signal("violence", 0.6, "test/1", None),)
    made = (DECISION, UUID(int=9), TENANT, ACCOUNT, "create", Verdict.REVIEW, (reason,), signals)
    item = NewReviewItem(ITEM, "prompt", Verdict.REVIEW, (reason,), held=True, sealed=False, prompt=EVIDENCE)
    seen = (FILE_SHA256, bytes(32), 100, bytes(8), bytes(3072), 256, 256, "PNG", "create", (), 1)
    async with single_transaction(dsn) as conn:
        await conn.execute("UPDATE standing_secret SET secret = decode(repeat('ab', 32), 'hex')")
        await conn.execute("UPDATE review_keys SET key = decode(repeat('ab', 32), 'hex')")
        await tenants.create_tenant(conn, TENANT)
        active = await policies.ensure_default(conn, DEFAULT_POLICY.read_text(encoding="utf-8"), ACTOR)
        await evidence_rows.record(conn, TENANT, "prompt", Blob(EVIDENCE, bytes(32)), timedelta(days=30))
        await decisions.record(conn, Decision(*made, active.policy_id, (MODEL,), {"prompt": "ab" * 32}), [item])
        await images.insert(
            conn,
            RegisteredImage(
                PICTURE, TENANT, DECISION, b"payload.", *seen, MODEL, active.policy_id, "ab" * 32, b"manifest"
            ),
        )
        await audit.append(conn, ACTOR, "account.tier", f"{TENANT}/{ACCOUNT}", at=datetime.now(UTC).isoformat())


if __name__ == "__main__":
    main(sys.argv[1])
