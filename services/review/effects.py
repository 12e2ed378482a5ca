"""What a decision leads to once it can no longer be taken back, applied in the transaction that settles it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from services.core.policy.document import Policy
from services.core.store import events, held_requests
from services.core.store.database import Connection
from services.core.store.review_items import ReviewItem
from services.review.complaints import settle_appeal, settle_report
from services.review.standing import judge_conduct, review_suspension

Effect = Callable[[Connection, ReviewItem, Policy], Awaitable[None]]


async def tell(conn: Connection, item: ReviewItem, _policy: Policy) -> None:
    """Says that the case is settled."""
    await events.append(
        conn,
        "item.settled",
        str(item.item_id),
        tenant=item.tenant,
        sealed=item.sealed,
        decision=str(item.decision_id),
        kind=item.kind,
        resolution=item.resolution,
    )


async def keep_for_resuming(conn: Connection, item: ReviewItem, _policy: Policy) -> None:
    """Gives the platform time to carry the request on: its evidence lives its whole life from now."""
    await held_requests.extend(conn, item.decision_id)


EFFECTS: Sequence[Effect] = (
    tell,
    keep_for_resuming,
    judge_conduct,
    review_suspension,
    settle_report,
    settle_appeal,
)
