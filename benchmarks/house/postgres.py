"""An embedded Postgres for a benchmark, with the house's tables and a platform, saying nothing on the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from services.commands.default_policy import DEFAULT_POLICY
from services.core.store import embedded, policies, tenants
from services.core.store.database import migrate, single_transaction

TENANT = "acme"


@contextmanager
def running(folder: Path) -> Iterator[str]:
    """Runs it on a folder for the length of a block and yields its DSN; again on the same folder, it has its data."""
    with embedded.running(folder, {"log_min_messages": "panic"}) as server:
        migrate(server.dsn)
        yield server.dsn


async def govern(dsn: str) -> None:
    """Makes the platform and puts the default policy in force."""
    async with single_transaction(dsn) as conn:
        await tenants.create_tenant(conn, TENANT)
        await policies.ensure_default(conn, DEFAULT_POLICY.read_text(encoding="utf-8"), "bench")
