"""The banks of Postgres as a running filter sees them: each tenant's terms, and the people that the operator added.

Postgres says when a bank changes (LISTEN/NOTIFY), and is asked every second besides, in case that it could not. A bank
is built anew beside the old one and put in its place at once. While Postgres is away the last good banks hold, until
they are too old to judge by; then nothing is judged.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, replace
from datetime import UTC, datetime

import structlog

from services.core.errors import InvalidInput, Unavailable
from services.core.signals import ModelVersion
from services.core.store import people, terms
from services.core.store.database import Database, listen
from services.core.store.terms import CHANNEL, Term
from services.prompt_filter.banks import NOTHING_ADDED, Added
from services.prompt_filter.name_index import NameIndex
from services.prompt_filter.people import Person
from services.prompt_filter.term_bank import TermBank

LOOK_SECONDS = 1.0

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Loaded:
    """A bank in the state `changes`; no `bank` where it could not be built."""

    changes: int
    version: ModelVersion
    bank: TermBank | None


class WordBanks:
    """What holds for each tenant; load it once, then run `follow`, `keep_fresh` and `keep_people`."""

    def __init__(self, database: Database, dsn: str, stale_seconds: float) -> None:
        self._database = database
        self._dsn = dsn
        self._stale_seconds = stale_seconds
        self._seen = float("-inf")
        self._loading = asyncio.Lock()
        self._banks: dict[tuple[str, str], _Loaded] = {}
        self._people_versions: dict[str, int] = {}
        self._house = NOTHING_ADDED
        self._tenants: dict[str, Added] = {}
        self._broken: dict[str, str] = {}

    def of(self, tenant: str) -> Added:
        """What holds for a tenant; raises Unavailable if Postgres has not confirmed it for `stale_seconds`, or if a
        bank of this tenant cannot be read.
        """
        self._confirm()
        if broken := sorted(
            bank for (owner, bank), loaded in self._banks.items() if owner == tenant and not loaded.bank
        ):
            raise Unavailable(f"the bank {broken[0]!r} of this tenant cannot be read", reason="BANK_BROKEN")
        return self._tenants.get(tenant, self._house)

    async def ready(self) -> None:
        """Raises Unavailable if Postgres has not confirmed the banks for longer than they may be stale."""
        self._confirm()

    def _confirm(self) -> None:
        age = time.monotonic() - self._seen
        if age > self._stale_seconds:
            raise Unavailable(f"the banks were last confirmed {age:.0f} s ago", reason="BANKS_STALE")

    async def load(self) -> None:
        """Reads everything that is new; Unavailable while Postgres does not answer."""
        await self._load_people()
        await self._load_terms()

    async def follow(self) -> None:
        """Reads the terms whenever Postgres says that some changed; runs until cancelled."""
        while True:
            try:
                async for _ in listen(self._dsn, CHANNEL):
                    await self._load_terms()
            except Unavailable:
                await asyncio.sleep(LOOK_SECONDS)  # `keep_fresh` tells the log

    async def keep_fresh(self) -> None:
        """Looks every second whether terms changed; runs until cancelled."""
        confirmed = True
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self._load_terms()
            except Unavailable as error:
                if confirmed:
                    log.warning("banks not confirmed", why=error.reason)
                confirmed = False
            else:
                confirmed = True

    async def keep_people(self) -> None:
        """Looks every second whether people were added; building their bank may take longer. Runs until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self._load_people()
            except Unavailable as error:
                log.info("people not confirmed", why=error.reason)

    async def _load_terms(self) -> None:
        async with self._loading:
            async with self._database.transaction() as conn:
                # The versions first: a change in between is then loaded twice rather than missed.
                versions = await terms.versions(conn)
                stale = [key for key, changes in versions.items() if _changes(self._banks.get(key)) != changes]
                read = {key: await terms.load(conn, *key) for key in stale}
            built = {key: await asyncio.to_thread(_build, key[1], versions[key], rows) for key, rows in read.items()}
            for (tenant, bank), loaded in built.items():
                log.info("bank loaded", tenant=tenant, bank=bank, terms=len(read[tenant, bank]), ok=bool(loaded.bank))
            if built or versions.keys() != self._banks.keys():
                self._banks = {key: built.get(key) or self._banks[key] for key in versions}
                self._share()
            self._seen = time.monotonic()

    async def _load_people(self) -> None:
        async with self._database.transaction() as conn:
            versions = await people.versions(conn)
        if versions == self._people_versions:
            return
        self._house = await asyncio.to_thread(_house, self._dsn, sorted(versions)) if versions else NOTHING_ADDED
        self._people_versions = versions
        log.info("people loaded", banks=sorted(versions), names=len(self._house.people or ()))
        self._share()

    def _share(self) -> None:
        """Puts what is loaded in force, for all tenants at once."""
        shared: dict[str, Added] = {}
        broken: dict[str, str] = {}
        for (tenant, bank), loaded in sorted(self._banks.items()):
            if loaded.bank is None:
                broken[tenant] = bank
            else:
                held = shared.get(tenant, self._house)
                shared[tenant] = replace(
                    held, terms=(*held.terms, loaded.bank), versions=(*held.versions, loaded.version)
                )
        self._tenants, self._broken = shared, broken


def _changes(loaded: _Loaded | None) -> int | None:
    return loaded.changes if loaded else None


def _build(bank: str, changes: int, rows: Sequence[Term]) -> _Loaded:
    """A bank ready for search, named by the sha256 of its terms."""
    digest = hashlib.sha256("\n".join(repr(astuple(row)) for row in rows).encode()).hexdigest()
    version = ModelVersion(f"terms:{bank}", digest[:12], digest)
    try:
        return _Loaded(changes, version, TermBank(rows, version.source))
    except InvalidInput as error:
        log.error("bank cannot be read", bank=bank, why=error.message)
        return _Loaded(changes, version, None)


def _house(dsn: str, banks: Sequence[str]) -> Added:
    """The people of Postgres, ready for search; blocking, a few seconds for hundreds of thousands."""
    sums = hashlib.sha256()

    def read() -> Iterator[Person]:
        for row in people.stream(dsn):
            sums.update(repr(astuple(row)).encode())
            yield Person(row.name, row.aliases, row.died, score=row.score)

    index = NameIndex(read(), datetime.now(UTC).year, f"people:{'+'.join(banks)}", edits=1)
    digest = sums.hexdigest()
    return Added(index, (), (ModelVersion(index.source, digest[:12], digest),))
