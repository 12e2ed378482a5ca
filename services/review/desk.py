"""The analysts' desk: cases listed, taken on lease, shown to their claimant alone, decided."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal
from uuid import UUID

import structlog

from services.core.errors import NotFound, PortcullisError
from services.core.evidence import EvidenceStore
from services.core.staff import Analyst
from services.core.store import claims, reports, review_events, review_items
from services.core.store.claims import Claim
from services.core.store.database import Connection, Database
from services.core.store.review_items import Place, Resolution, ReviewItem, State

Part = Literal["prompt", "negative_prompt", "image", "mask"]

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Content:
    """What a case is about, in plain; never in a repr. Parts that it does not have are empty.

    `statements` are what those say who report or appeal, oldest first.
    """

    prompt: bytes = field(default=b"", repr=False)
    negative_prompt: bytes = field(default=b"", repr=False)
    image: bytes = field(default=b"", repr=False)
    mask: bytes = field(default=b"", repr=False)
    statements: tuple[bytes, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Page:
    """Items in order; `end` is where the next page begins, None on the last."""

    items: tuple[ReviewItem, ...]
    end: Place | None


class ReviewDesk:
    """What analysts do. Each call is one transaction; each step is an event of the item's chain."""

    def __init__(self, database: Database, evidence: EvidenceStore, claim_seconds: float, undo_seconds: float) -> None:
        self._database = database
        self._evidence = evidence
        self._claim_seconds = claim_seconds
        self._undo_seconds = undo_seconds

    async def list_items(
        self, analyst: Analyst, queue: str | None, state: State | None, after: Place | None, size: int
    ) -> Page:
        """A page of what this analyst may see."""
        async with self._database.transaction() as conn:
            found = await review_items.list_items(
                conn, queue=queue, state=state, sealed=analyst.sees(), after=after, limit=size + 1
            )
        items = tuple(found[:size])
        return Page(items, review_items.place_of(items[-1]) if len(found) > size else None)

    async def claim(self, analyst: Analyst, item_id: UUID) -> tuple[Claim, Content]:
        """Takes one item; raises as `claims.claim`."""
        async with self._database.transaction() as conn:
            claim = await claims.claim(conn, item_id, analyst, self._claim_seconds)
            return claim, await self._view(conn, claim.item, analyst)

    async def claim_next(self, analyst: Analyst, queue: str | None) -> tuple[Claim, Content]:
        """Takes the first waiting item of a queue (None: of any); raises NotFound where none waits."""
        async with self._database.transaction() as conn:
            claim = await claims.claim_next(conn, queue, analyst, self._claim_seconds)
            if claim is None:
                raise NotFound("nothing waits here", reason="QUEUE_EMPTY")
            return claim, await self._view(conn, claim.item, analyst)

    async def renew(self, analyst: Analyst, item_id: UUID, token: str) -> datetime:
        """Extends a lease; raises as `claims.renew`."""
        async with self._database.transaction() as conn:
            return await claims.renew(conn, item_id, analyst, token, self._claim_seconds)

    async def release(self, analyst: Analyst, item_id: UUID, token: str, reason: str) -> None:
        """Gives an item back; raises as `claims.release`."""
        async with self._database.transaction() as conn:
            await claims.release(conn, item_id, analyst, token, reason)

    async def decide(
        self, analyst: Analyst, item_id: UUID, token: str, resolution: Resolution, comment: str
    ) -> ReviewItem:
        """Decides a claimed item; raises as `claims.decide`."""
        async with self._database.transaction() as conn:
            return await claims.decide(conn, item_id, analyst, token, resolution, comment, self._undo_seconds)

    async def ready(self) -> None:
        """Raises Unavailable while Postgres does not answer."""
        await self._database.ping()

    async def _view(self, conn: Connection, item: ReviewItem, analyst: Analyst) -> Content:
        """Decrypts a case for its claimant; nothing is shown unless this is recorded.

        What cannot be read is recorded too and left empty: one damaged file must not keep its case, and the queue
        behind it, from being decided.
        """
        wanted: dict[Part, UUID | None] = {
            "prompt": item.prompt,
            "negative_prompt": item.negative_prompt,
            "image": item.image,
            "mask": item.mask,
        }
        shown: dict[Part, bytes] = {}
        unreadable: list[Part] = []
        for part, blob_id in wanted.items():
            if blob_id is None:
                continue
            try:
                shown[part] = await asyncio.to_thread(self._evidence.get, blob_id)
            except PortcullisError as error:
                unreadable.append(part)
                log.error("evidence cannot be read", item=str(item.item_id), part=part, reason=error.reason)
        said = await self._statements(conn, item)
        detail = {"shown": ",".join(shown), "unreadable": ",".join(unreadable), "statements": str(len(said))}
        await review_events.append(conn, item.item_id, "viewed", analyst.identity, **detail)
        return Content(**shown, statements=said)

    async def _statements(self, conn: Connection, item: ReviewItem) -> tuple[bytes, ...]:
        if item.kind not in ("report", "appeal"):
            return ()
        said: list[bytes] = []
        for blob_id in await reports.statements(conn, item.item_id):
            try:
                said.append(await asyncio.to_thread(self._evidence.get, blob_id))
            except PortcullisError as error:
                log.error("evidence cannot be read", item=str(item.item_id), part="statement", reason=error.reason)
        return tuple(said)
