"""The analysts' desk: cases listed, taken on lease, shown to their claimant alone, decided, and decided back."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, get_args
from uuid import UUID

import structlog

from services.core.errors import NotFound, PortcullisError
from services.core.evidence import EvidenceStore
from services.core.policy.review_rules import ReviewRules
from services.core.policy.source import ActivePolicy
from services.core.staff import Analyst
from services.core.store import (
    bulk,
    cases,
    claims,
    comments,
    golden,
    judgements,
    quality,
    queues,
    reports,
    review_events,
    review_items,
)
from services.core.store.bulk import BulkDecision, Preview
from services.core.store.claims import Claim
from services.core.store.comments import Comment
from services.core.store.database import Connection, Database
from services.core.store.review_items import Kind, Place, Resolution, ReviewItem, State
from services.review.agreement import TeamFigures, by_person, by_queue

Part = Literal["prompt", "negative_prompt", "image", "mask", "statements"]
PARTS: tuple[Part, ...] = get_args(Part)
Form = Literal["plain", "blurred"]

CHANCE = secrets.SystemRandom().random  # nobody can tell which case will be a known one

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
class Shown:
    """An item, and how many undecided items its case has, itself included."""

    item: ReviewItem
    case_size: int


@dataclass(frozen=True, slots=True)
class Page:
    """Items in order; `end` is where the next page begins, None on the last."""

    items: tuple[Shown, ...]
    end: Place | None


@dataclass(frozen=True, slots=True)
class Sight:
    """An item with its comments, oldest first, and the other undecided items of its case."""

    shown: Shown
    comments: tuple[Comment, ...]
    others: tuple[Shown, ...]


class ReviewDesk:
    """What analysts do. Each call is one transaction; each step is an event of the item's chain."""

    def __init__(
        self,
        database: Database,
        evidence: EvidenceStore,
        policy: ActivePolicy,
        claim_seconds: float,
        undo_seconds: float,
        chance: Callable[[], float] = CHANCE,
    ) -> None:
        self._database = database
        self._evidence = evidence
        self._policy = policy
        self._claim_seconds = claim_seconds
        self._undo_seconds = undo_seconds
        self._chance = chance

    async def list_items(
        self,
        analyst: Analyst,
        queue: str | None,
        state: State | None,
        kind: Kind | None,
        after: Place | None,
        size: int,
    ) -> Page:
        """A page of what this analyst may see."""
        async with self._database.transaction() as conn:
            found = await review_items.list_items(
                conn, queue=queue, state=state, sealed=analyst.sees(), after=after, limit=size + 1, kind=kind
            )
            page = found[:size]
            return Page(await _shown(conn, page), review_items.place_of(page[-1]) if len(found) > size else None)

    async def look(self, analyst: Analyst, item_id: UUID) -> Sight:
        """One item, without its content; raises NotFound where it does not exist for this analyst."""
        async with self._database.transaction() as conn:
            item = await _existing(conn, analyst, item_id)
            shown, *others = await _shown(conn, [item, *await cases.others(conn, item)])
            return Sight(shown, tuple(await comments.of_item(conn, item_id, analyst)), tuple(others))

    async def comment(self, analyst: Analyst, item_id: UUID, text: str) -> Comment:
        """Adds a comment, 1 … 2,000 characters; raises NotFound as `look`."""
        async with self._database.transaction() as conn:
            await _existing(conn, analyst, item_id)
            return await comments.add(conn, item_id, analyst, text)

    async def claim(self, analyst: Analyst, item_id: UUID) -> tuple[Claim, Content]:
        """Takes one item; raises as `claims.claim`."""
        async with self._database.transaction() as conn:
            claim = await claims.claim(conn, item_id, analyst, self._claim_seconds, self._rules)
            return claim, await self._view(conn, claim.item, analyst)

    async def claim_next(self, analyst: Analyst, queue: str | None) -> tuple[Claim, Content]:
        """Takes the next item of a queue (None: of any); raises NotFound where none waits, else as `claims`."""
        async with self._database.transaction() as conn:
            claim = await self._next(conn, analyst, queue)
            if claim is None:
                raise NotFound("nothing waits here", reason="QUEUE_EMPTY")
            return claim, await self._view(conn, claim.item, analyst)

    async def take(self, analyst: Analyst, item_id: UUID) -> Claim:
        """Takes one item without reading it; raises as `claims.claim`."""
        async with self._database.transaction() as conn:
            return await claims.claim(conn, item_id, analyst, self._claim_seconds, self._rules)

    async def take_next(self, analyst: Analyst, queue: str | None) -> Claim | None:
        """Takes the next item of a queue (None: of any) without reading it, None where none waits."""
        async with self._database.transaction() as conn:
            return await self._next(conn, analyst, queue)

    async def read(
        self, analyst: Analyst, item_id: UUID, token: str, parts: Collection[Part], form: Form
    ) -> tuple[ReviewItem, Content]:
        """These parts of an item that this analyst holds; recorded with the form in which they are shown."""
        async with self._database.transaction() as conn:
            item = await claims.held(conn, item_id, analyst, token)
            return item, await self._view(conn, item, analyst, parts, form)

    async def renew(self, analyst: Analyst, item_id: UUID, token: str) -> datetime:
        """Extends a lease; raises as `claims.renew`."""
        async with self._database.transaction() as conn:
            return await claims.renew(conn, item_id, analyst, token, self._claim_seconds)

    async def release(self, analyst: Analyst, item_id: UUID, token: str, reason: str) -> None:
        """Gives an item back; raises as `claims.release`."""
        async with self._database.transaction() as conn:
            await claims.release(conn, item_id, analyst, token, reason)

    async def escalate(self, analyst: Analyst, item_id: UUID, token: str, reason: str) -> None:
        """Passes an item on to somebody with more experience; raises as `claims.escalate`."""
        async with self._database.transaction() as conn:
            await claims.escalate(conn, item_id, analyst, token, reason)

    async def skip(self, analyst: Analyst, item_id: UUID, token: str, reason: str) -> None:
        """Gives an item back, for somebody else; raises as `claims.skip`."""
        async with self._database.transaction() as conn:
            await claims.skip(conn, item_id, analyst, token, reason)

    async def decide(
        self, analyst: Analyst, item_id: UUID, token: str, resolution: Resolution, comment: str, also: Sequence[UUID]
    ) -> ReviewItem:
        """Judges a claimed item, and those of its case that are named; raises as `claims.decide`."""
        async with self._database.transaction() as conn:
            return await claims.decide(
                conn, item_id, analyst, token, resolution, comment, self._undo_seconds, also, self._rules.shares
            )

    async def preview(self, analyst: Analyst, ids: Sequence[UUID]) -> tuple[Preview, tuple[Shown, ...]]:
        """What a bulk decision would meet; raises PermissionDenied where it is not for this analyst."""
        analyst.require("bulk")
        async with self._database.transaction() as conn:
            preview = await bulk.preview(conn, ids, analyst, self._rules)
            return preview, await _shown(conn, preview.items)

    async def decide_many(self, analyst: Analyst, token: str, resolution: Resolution, comment: str) -> BulkDecision:
        """Judges what was previewed and has not moved since; raises PermissionDenied, and as `bulk.decide`."""
        analyst.require("bulk")
        async with self._database.transaction() as conn:
            return await bulk.decide(
                conn, token, analyst, self._rules, resolution, comment, self._undo_seconds, self._rules.shares
            )

    async def undo(self, analyst: Analyst, batch: UUID) -> list[ReviewItem]:
        """Takes back one's own decision, single or in bulk; raises as `judgements.undo`."""
        async with self._database.transaction() as conn:
            return await judgements.undo(conn, batch, analyst)

    async def ready(self) -> None:
        """Raises Unavailable while Postgres does not answer or has not confirmed the policy."""
        await self._policy.ready()
        await self._database.ping()

    @property
    def _rules(self) -> ReviewRules:
        return self._policy.current.document.review

    async def _next(self, conn: Connection, analyst: Analyst, queue: str | None) -> Claim | None:
        known = await self._golden(conn, analyst, queue)
        if known is not None:
            return await claims.claim(conn, known, analyst, self._claim_seconds, self._rules)
        return await claims.claim_next(conn, queue, analyst, self._claim_seconds, self._rules)

    async def _golden(self, conn: Connection, analyst: Analyst, queue: str | None) -> UUID | None:
        """A known case among the others, as often as the queue's policy says, where something waits there at all."""
        waiting = await queues.by_turn(conn, analyst, self._rules)
        name = queue or (waiting[0] if waiting else "")
        if name not in waiting or self._chance() >= self._rules.queue(name).golden:
            return None
        return await golden.copy_for(conn, name, analyst)

    async def figures(self, sealed: Collection[bool], age: timedelta) -> TeamFigures:
        """How well the team judged in the last `age`; `sealed` says of which of both kinds of cases.

        For leads, and to each their own. Goes through every judgement of that time.
        """
        async with self._database.transaction() as conn:
            pairs = await quality.pairs(conn, age, sealed)
            work = await quality.work(conn, age, sealed)
        return TeamFigures(by_queue(pairs, work), by_person(pairs, work))

    async def _view(
        self,
        conn: Connection,
        item: ReviewItem,
        analyst: Analyst,
        parts: Collection[Part] = PARTS,
        form: Form = "plain",
    ) -> Content:
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
            if blob_id is None or part not in parts:
                continue
            try:
                shown[part] = await asyncio.to_thread(self._evidence.get, blob_id)
            except PortcullisError as error:
                unreadable.append(part)
                log.error("evidence cannot be read", item=str(item.item_id), part=part, reason=error.reason)
        said = await self._statements(conn, item) if "statements" in parts else ()
        detail = {
            "shown": ",".join(shown),
            "unreadable": ",".join(unreadable),
            "statements": str(len(said)),
            "form": form,
        }
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


async def _existing(conn: Connection, analyst: Analyst, item_id: UUID) -> ReviewItem:
    """An item that exists for this analyst; to others a sealed one is like none."""
    item = await review_items.get(conn, item_id)
    if item is None or item.sealed not in analyst.sees():
        raise NotFound("there is no such item", reason="ITEM_UNKNOWN")
    return item


async def _shown(conn: Connection, items: Sequence[ReviewItem]) -> tuple[Shown, ...]:
    sizes = await cases.sizes(conn, items)
    return tuple(Shown(item, sizes[item.item_id]) for item in items)
