"""What a decision leads to once it can no longer be taken back, applied in the transaction that settles it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from services.core.policy.document import Policy
from services.core.store import events
from services.core.store.database import Connection
from services.core.store.review_items import ReviewItem
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


EFFECTS: Sequence[Effect] = (tell, judge_conduct, review_suspension)
