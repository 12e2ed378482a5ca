"""Review items: the cases for people. Where they wait is in `routings`, their steps from a claim on in `claims`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Literal, get_args
from uuid import UUID

from psycopg import sql
from psycopg.rows import class_row
from psycopg.types.json import Jsonb
from pydantic import TypeAdapter

from services.core.policy.categories import Stage
from services.core.store import events, outbox, review_events
from services.core.store.database import Connection
from services.core.verdicts import Reason, Tier, Verdict

Kind = Literal["content", "report", "appeal", "suspension"]
State = Literal["pending", "queued", "claimed", "decided"]
Resolution = Literal["release", "uphold"]

REASONS: TypeAdapter[tuple[Reason, ...]] = TypeAdapter(tuple[Reason, ...])


@dataclass(frozen=True, slots=True)
class NewReviewItem:
    """A case to open; `held`: nothing leaves until it is decided.

    `sealed`: it exists for the sealed role alone, from its first moment. `subject` is the report or appeal that it is
    about; `sketch` what near-duplicates share, as in `Check`. `urgency` 0 … 9 is by how many levels its priority goes
    before that of its route. `prompt` to `mask` are evidence ids.
    """

    item_id: UUID
    stage: Stage
    verdict: Verdict
    reasons: tuple[Reason, ...]
    held: bool
    sealed: bool
    kind: Kind = "content"
    subject: UUID | None = None
    tier: Tier = "new"
    sketch: bytes = b""
    prompt: UUID | None = None
    negative_prompt: UUID | None = None
    image: UUID | None = None
    mask: UUID | None = None
    urgency: int = 0


@dataclass(frozen=True, slots=True)
class ReviewItem:
    """A case as it stands. `queue` is empty and `due_at` None while pending; `turn_at` orders a queue.

    `urgency` is by how many levels its priority goes before that of its route.
    `leader` leads its case of near-duplicates, None where that is itself. `round` 1 is the first look, 2 the
    blind second, 3 adjudication. A decision can be taken back until `effective_at`; its effects come at `settled_at`.
    One that waits for another look has an `effective_at` too: until then nobody takes it.
    """

    item_id: UUID
    decision_id: UUID
    tenant: str
    account: str
    stage: Stage
    verdict: Verdict
    reasons: tuple[Reason, ...]
    held: bool
    sealed: bool
    prompt: UUID | None
    negative_prompt: UUID | None
    image: UUID | None
    mask: UUID | None
    state: State
    queue: str
    priority: int
    created_at: datetime
    due_at: datetime | None
    claimed_by: str | None
    claim_expires_at: datetime | None
    resolution: Resolution | None
    decided_by: str | None
    decided_at: datetime | None
    turn_at: datetime
    kind: Kind = "content"
    subject: UUID | None = None
    tier: Tier = "new"
    sketch: bytes = b""
    leader: UUID | None = None
    round: int = 1
    golden: UUID | None = None
    claimed_at: datetime | None = None
    batch: UUID | None = None
    effective_at: datetime | None = None
    settled_at: datetime | None = None
    urgency: int = 0

    def __post_init__(self) -> None:
        """Turns what Postgres returns into our own types."""
        object.__setattr__(self, "verdict", Verdict(self.verdict))
        object.__setattr__(self, "reasons", REASONS.validate_python(self.reasons))


@dataclass(frozen=True, slots=True)
class Place:
    """A place in an order of items, that of their turns or of their due times: where a page ended."""

    at: datetime
    item_id: UUID


@dataclass(frozen=True, slots=True)
class QueueFigures:
    """How many items wait in a queue, how long the oldest has, in seconds, and how many are `overdue`."""

    queue: str
    depth: int
    oldest_seconds: float
    overdue: int


COLUMNS = sql.SQL(", ").join(sql.Identifier(column.name) for column in fields(ReviewItem))


def place_of(item: ReviewItem) -> Place:
    """Where an item stands in the order of turns."""
    return Place(item.turn_at, item.item_id)


def due_place_of(item: ReviewItem) -> Place:
    """Where an item stands in the order of due times; one that is pending, by when it was recorded."""
    return Place(item.due_at or item.created_at, item.item_id)


async def open_items(
    conn: Connection, decision_id: UUID, tenant: str, account: str, items: Sequence[NewReviewItem]
) -> None:
    """Writes items as pending, each with its first event and its outbox message, in the caller's transaction."""
    for item in items:
        await conn.execute(
            "INSERT INTO review_items (item_id, decision_id, tenant, account, stage, verdict, reasons, held, sealed,"
            " kind, subject, tier, sketch, prompt, negative_prompt, image, mask, urgency)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            [
                item.item_id,
                decision_id,
                tenant,
                account,
                item.stage,
                int(item.verdict),
                Jsonb(REASONS.dump_python(item.reasons, mode="json")),
                item.held,
                item.sealed,
                item.kind,
                item.subject,
                item.tier,
                item.sketch,
                item.prompt,
                item.negative_prompt,
                item.image,
                item.mask,
                item.urgency,
            ],
        )
        await review_events.append(conn, item.item_id, "opened", "gateway")
        await events.append(
            conn, "item.opened", str(item.item_id), tenant=tenant, sealed=item.sealed, decision=str(decision_id)
        )
    await outbox.add(conn, outbox.ROUTE_ITEM, [item.item_id for item in items])


async def get(conn: Connection, item_id: UUID) -> ReviewItem | None:
    """One item, None where there is none."""
    async with conn.cursor(row_factory=class_row(ReviewItem)) as cursor:
        await cursor.execute(sql.SQL("SELECT {} FROM review_items WHERE item_id = %s").format(COLUMNS), [item_id])
        return await cursor.fetchone()


async def by_ids(conn: Connection, item_ids: Sequence[UUID]) -> dict[UUID, ReviewItem]:
    """The items of these ids that there are."""
    async with conn.cursor(row_factory=class_row(ReviewItem)) as cursor:
        await cursor.execute(
            sql.SQL("SELECT {} FROM review_items WHERE item_id = ANY(%s)").format(COLUMNS), [list(item_ids)]
        )
        return {item.item_id: item for item in await cursor.fetchall()}


async def of_decision(conn: Connection, decision_id: UUID) -> list[UUID]:
    """The ids of a decision's items, oldest first; of sealed reports nothing is said."""
    cursor = await conn.execute(
        "SELECT item_id FROM review_items WHERE decision_id = %s AND NOT (sealed AND kind = 'report')"
        " ORDER BY created_at, item_id",
        [decision_id],
    )
    return [row[0] for row in await cursor.fetchall()]


async def of_decisions(conn: Connection, tenant: str, decisions: Sequence[UUID]) -> list[ReviewItem]:
    """The items of these decisions of a tenant, sealed ones among them: not for showing."""
    async with conn.cursor(row_factory=class_row(ReviewItem)) as cursor:
        await cursor.execute(
            sql.SQL("SELECT {} FROM review_items WHERE tenant = %s AND decision_id = ANY(%s)").format(COLUMNS),
            [tenant, list(decisions)],
        )
        return await cursor.fetchall()


async def list_items(
    conn: Connection,
    *,
    queue: str | None,
    state: State | None,
    sealed: Collection[bool],
    after: Place | None,
    limit: int,
    kind: Kind | None = None,
) -> list[ReviewItem]:
    """A page of items in the order of their turn; `sealed` says which of both to show.

    Read state by state, each from an index of its own order: what is of one may lie behind a million of another.
    """
    conditions = [sql.SQL("state || '' = one AND sealed = ANY(%(sealed)s)")]
    if queue is not None:
        conditions.append(sql.SQL("queue = %(queue)s"))
    if kind is not None:
        conditions.append(sql.SQL("kind = %(kind)s"))
    if after is not None:
        conditions.append(sql.SQL("(turn_at, item_id) > (%(turn)s, %(id)s)"))
    async with conn.cursor(row_factory=class_row(ReviewItem)) as cursor:
        await cursor.execute(
            sql.SQL(
                "SELECT {} FROM unnest(%(states)s::text[]) AS one, LATERAL ("
                "SELECT * FROM review_items WHERE {} ORDER BY turn_at, item_id LIMIT %(limit)s"
                ") AS found ORDER BY turn_at, item_id LIMIT %(limit)s"
            ).format(COLUMNS, sql.SQL(" AND ").join(conditions)),
            {
                "states": [state] if state else list(get_args(State)),
                "sealed": list(sealed),
                "queue": queue,
                "kind": kind,
                "id": after and after.item_id,
                "turn": after and after.at,
                "limit": limit,
            },
        )
        return await cursor.fetchall()


async def open_by_due(
    conn: Connection, kind: Kind, sealed: Collection[bool], after: Place | None, limit: int
) -> list[ReviewItem]:
    """A page of undecided items of a kind, but content, those due first before; `sealed` says which to show."""
    async with conn.cursor(row_factory=class_row(ReviewItem)) as cursor:
        await cursor.execute(
            sql.SQL(  # that it is not content is said for the index, which leaves that out
                "SELECT {} FROM review_items WHERE kind = %(kind)s AND kind <> 'content' AND state <> 'decided'"
                " AND sealed = ANY(%(sealed)s)"
                " AND (%(id)s::uuid IS NULL OR (coalesce(due_at, created_at), item_id) > (%(due)s, %(id)s))"
                " ORDER BY coalesce(due_at, created_at), item_id LIMIT %(limit)s"
            ).format(COLUMNS),
            {
                "kind": kind,
                "sealed": list(sealed),
                "id": after and after.item_id,
                "due": after and after.at,
                "limit": limit,
            },
        )
        return await cursor.fetchall()


async def tell(conn: Connection, what: str, item: ReviewItem, **data: object) -> None:
    """Tells listeners what happened to an item, in the caller's transaction; of a golden one no platform hears."""
    tenant = item.tenant if item.golden is None else None
    told = {"decision": str(item.decision_id), "kind": item.kind, "queue": item.queue, **data}
    await events.append(conn, f"item.{what}", str(item.item_id), tenant=tenant, sealed=item.sealed, **told)


async def now(conn: Connection) -> datetime:
    """The clock that all items go by: Postgres', at the transaction's start."""
    row = await (await conn.execute("SELECT now()")).fetchone()
    assert row is not None, "SELECT now() has a row"
    moment: datetime = row[0]
    return moment


async def figures(conn: Connection) -> list[QueueFigures]:
    """What waits, by queue, the sealed one too; items that are not routed yet count as the queue "pending"."""
    async with conn.cursor(row_factory=class_row(QueueFigures)) as cursor:
        await cursor.execute(
            "SELECT CASE state WHEN 'pending' THEN 'pending' ELSE queue END AS queue, count(*) AS depth,"
            " extract(epoch FROM now() - min(created_at))::float8 AS oldest_seconds,"
            " count(*) FILTER (WHERE due_at < now()) AS overdue"
            " FROM review_items WHERE state IN ('pending', 'queued') AND golden IS NULL GROUP BY 1"
        )
        return await cursor.fetchall()


async def settle(conn: Connection, item_id: UUID) -> ReviewItem | None:
    """Marks a decision whose time to be taken back is over as settled; None where there is none such (any more)."""
    cursor = await conn.execute(
        "UPDATE review_items SET settled_at = now() WHERE item_id = %s AND state = 'decided' AND settled_at IS NULL"
        " AND effective_at <= now()",
        [item_id],
    )
    return await get(conn, item_id) if cursor.rowcount else None
