"""Review items: the cases for people. Their steps from a claim on are in `claims`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields, replace
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
class Routing:
    """Where an item waits: queue, priority 0 (first) … 9, when a decision is due, and when its turn comes.

    `reroute_at` is when its age may move it, None for never.
    """

    queue: str
    priority: int
    due_at: datetime
    turn_at: datetime
    reroute_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """A place in the order of items: where a page ended."""

    turn_at: datetime
    item_id: UUID


@dataclass(frozen=True, slots=True)
class QueueFigures:
    """How many items wait in a queue, and how long the oldest has, in seconds."""

    queue: str
    depth: int
    oldest_seconds: float


COLUMNS = sql.SQL(", ").join(sql.Identifier(column.name) for column in fields(ReviewItem))


def place_of(item: ReviewItem) -> Place:
    """Where an item stands in the order."""
    return Place(item.turn_at, item.item_id)


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


async def suspension_open(conn: Connection, tenant: str, account: str) -> bool:
    """Whether a person is still to look at a suspension of this account."""
    cursor = await conn.execute(
        "SELECT FROM review_items WHERE tenant = %s AND account = %s AND kind = 'suspension' AND state <> 'decided'",
        [tenant, account],
    )
    return await cursor.fetchone() is not None


async def overdue_suspensions(conn: Connection, now: datetime, limit: int) -> list[tuple[str, str]]:
    """Up to `limit` accounts (tenant, account) that are suspended still, though nobody looked at it in due time.

    A case in hand is being looked at.
    """
    cursor = await conn.execute(
        "SELECT DISTINCT tenant, account FROM review_items JOIN accounts USING (tenant, account)"
        " WHERE kind = 'suspension' AND state = 'queued' AND due_at < %s"
        " AND standing = 'suspended' AND EXISTS (SELECT FROM standing_changes WHERE change_id = subject"
        " AND at = standing_since) LIMIT %s",
        [now, limit],
    )
    return [(tenant, account) for tenant, account in await cursor.fetchall()]


async def count_overdue_suspensions(conn: Connection, now: datetime) -> int:
    """How many suspensions wait for a person beyond their due time."""
    cursor = await conn.execute(
        "SELECT count(*) FROM review_items WHERE kind = 'suspension' AND state <> 'decided' AND due_at < %s", [now]
    )
    row = await cursor.fetchone()
    return int(row[0]) if row else 0


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
                "turn": after and after.turn_at,
                "limit": limit,
            },
        )
        return await cursor.fetchall()


async def open_by_due(conn: Connection, kind: Kind, sealed: Collection[bool], limit: int) -> list[ReviewItem]:
    """The first `limit` undecided items of a kind, not "content", by when they are due.

    `sealed` says which of both to show.
    """
    async with conn.cursor(row_factory=class_row(ReviewItem)) as cursor:
        await cursor.execute(
            sql.SQL(
                "SELECT {} FROM review_items WHERE kind = %s AND kind <> 'content' AND state <> 'decided'"
                " AND sealed = ANY(%s) ORDER BY due_at, item_id LIMIT %s"
            ).format(COLUMNS),
            [kind, list(sealed), limit],
        )
        return await cursor.fetchall()


async def route(conn: Connection, item_id: UUID, routing: Routing, actor: str, leader: UUID | None = None) -> bool:
    """Puts a pending item into its queue, into the case of `leader` if there is one.

    False, and nothing done, where it is not pending (any more).
    """
    async with conn.cursor(row_factory=class_row(ReviewItem)) as cursor:
        await cursor.execute(
            sql.SQL(
                "UPDATE review_items SET state = 'queued', queue = %s, priority = %s, due_at = %s, turn_at = %s,"
                " reroute_at = %s, leader = %s WHERE item_id = %s AND state = 'pending' RETURNING {}"
            ).format(COLUMNS),
            [
                routing.queue,
                routing.priority,
                routing.due_at,
                routing.turn_at,
                routing.reroute_at,
                leader,
                item_id,
            ],
        )
        item = await cursor.fetchone()
    if item is None:
        return False
    await review_events.append(conn, item_id, "queued", actor, queue=routing.queue, priority=str(routing.priority))
    await tell(conn, "queued", item)
    return True


async def due_for_rerouting(conn: Connection, limit: int) -> list[ReviewItem]:
    """Up to `limit` items that wait, lead their case and may be moved by their age now, locked."""
    async with conn.cursor(row_factory=class_row(ReviewItem)) as cursor:
        await cursor.execute(
            sql.SQL(
                "SELECT {} FROM review_items WHERE state = 'queued' AND leader IS NULL AND reroute_at <= now()"
                " ORDER BY reroute_at LIMIT %s FOR UPDATE SKIP LOCKED"
            ).format(COLUMNS),
            [limit],
        )
        return await cursor.fetchall()


async def reroute(conn: Connection, item: ReviewItem, routing: Routing, actor: str) -> bool:
    """Gives a waiting item, locked by `due_for_rerouting`, and those of its case another place.

    Each keeps its own age: dates are as far from its own record as the item's are. False where it stays where it is.
    """
    cursor = await conn.execute(
        "UPDATE review_items SET queue = %(queue)s, priority = %(priority)s, due_at = created_at + %(due)s,"
        " turn_at = created_at + %(turn)s, reroute_at = created_at + %(reroute)s"
        " WHERE state = 'queued' AND (item_id = %(item)s OR leader = %(item)s) RETURNING item_id",
        {
            "queue": routing.queue,
            "priority": routing.priority,
            "due": routing.due_at - item.created_at,
            "turn": routing.turn_at - item.created_at,
            "reroute": routing.reroute_at and routing.reroute_at - item.created_at,
            "item": item.item_id,
        },
    )
    moved = await cursor.fetchall()
    if (item.queue, item.priority) == (routing.queue, routing.priority):
        return False
    for (item_id,) in moved:
        await review_events.append(
            conn, item_id, "rerouted", actor, queue=routing.queue, priority=str(routing.priority)
        )
    await tell(conn, "queued", replace(item, queue=routing.queue))
    return True


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
    """What waits, by queue; items that are not routed yet count as the queue "pending"."""
    async with conn.cursor(row_factory=class_row(QueueFigures)) as cursor:
        await cursor.execute(
            "SELECT CASE state WHEN 'pending' THEN 'pending' ELSE queue END AS queue, count(*) AS depth,"
            " extract(epoch FROM now() - min(created_at))::float8 AS oldest_seconds"
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
