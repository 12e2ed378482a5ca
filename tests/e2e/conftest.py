"""One whole house for all end-to-end tests, reached through its front door."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import psycopg
import pytest

from demo.running import RunningHouse, running_house
from portcullis import Client, Profile, ReviewClient
from services.commands.default_policy import DEFAULT_POLICY
from services.core.policy.document import load_policy
from services.core.policy.source import REFRESH_SECONDS
from services.core.store import policies, tenants
from services.core.store.database import Database
from tests.otlp import Collector, collecting

# A filter that hangs is given up, and a decision settles, sooner than by default, so that the tests of it are not slow.
SETTINGS = {
    "PORTCULLIS_GATEWAY_CHECK_SECONDS": "8",
    "PORTCULLIS_DRAIN_SECONDS": "5",
    "PORTCULLIS_REVIEW_UNDO_SECONDS": "2",
    # Everything that can be said is said, so that what must not be said is found.
    "PORTCULLIS_LOG_LEVEL": "debug",
    "OTEL_BSP_SCHEDULE_DELAY": "500",
}
# No case is drawn for a second look by chance.
ONE_LOOK = "\nreview: {queues: {default: {second_review: 0.0}, reports: {second_review: 0.0}}}\n"
POLICY = DEFAULT_POLICY.read_text(encoding="utf-8") + ONE_LOOK


@pytest.fixture(scope="session")
def collector() -> Iterator[Collector]:
    """Is sent every trace of the house."""
    with collecting() as kept:
        yield kept


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory, collector: Collector) -> Iterator[RunningHouse]:
    settings = {**SETTINGS, "PORTCULLIS_OTLP_ENDPOINT": collector.endpoint}
    with running_house(tmp_path_factory.mktemp("e2e") / "home", print, settings) as running:
        activate(running, POLICY)
        yield running


def activate(house: RunningHouse, text: str) -> None:
    """Puts a policy in force, and waits until every room follows it."""
    asyncio.run(_activate(house, text))
    time.sleep(REFRESH_SECONDS + 1)


async def _activate(house: RunningHouse, text: str) -> None:
    policy = load_policy(text, "e2e")
    database = await Database.open((house.home / "postgres.dsn").read_text().strip(), max_size=1)
    async with database.transaction() as connection:
        await policies.put(connection, policy, "e2e")
        await policies.activate(connection, policy.id, "e2e", datetime.now(UTC))
    await database.close()


@pytest.fixture(scope="session")
def client(house: RunningHouse) -> Iterator[Client]:
    with Client(house.profile) as client:
        yield client


@pytest.fixture(scope="session")
def desk(house: RunningHouse) -> Iterator[ReviewClient]:
    with ReviewClient(house.profile) as desk:
        yield desk


@pytest.fixture(scope="session")
def stranger(house: RunningHouse) -> Iterator[Client]:
    """Another platform of the same house."""

    async def make_key() -> str:
        database = await Database.open((house.home / "postgres.dsn").read_text().strip(), max_size=1)
        async with database.transaction() as connection:
            await tenants.create_tenant(connection, "stranger")
            key = await tenants.create_api_key(connection, "stranger")
        await database.close()
        return key

    profile: Profile = house.profile.model_copy(update={"api_key": asyncio.run(make_key())})
    with Client(profile) as client:
        yield client


@pytest.fixture
def row_counts(house: RunningHouse) -> Callable[[str], int]:
    """How many rows a table has."""

    def count(table: str) -> int:
        with psycopg.connect((house.home / "postgres.dsn").read_text().strip()) as connection:
            row = connection.execute(psycopg.sql.SQL("SELECT count(*) FROM {}").format(psycopg.sql.Identifier(table)))
            return row.fetchone()[0]

    return count


@pytest.fixture
def pid_of(house: RunningHouse) -> Callable[[str], int]:
    """The process of a room, found among the supervisor's children."""

    return house.pid
