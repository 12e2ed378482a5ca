"""A database with a tenant, and cases in it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from uuid import UUID, uuid4

import pytest

from services.core.policy.review_rules import ReviewRules
from services.core.store import decisions, review_items
from services.core.store.database import Database
from services.core.store.decisions import Decision
from services.core.store.review_items import NewReviewItem
from services.core.verdicts import Reason, Verdict
from services.review.routing import route

OpenCase = Callable[..., Awaitable[UUID]]


@pytest.fixture
async def house(governed: Database) -> Database:
    return governed


@pytest.fixture
def open_case(house: Database) -> OpenCase:
    """Opens a case as the gateway would, routed unless told otherwise."""

    async def opened(
        category: str = "violence", *, held: bool = True, routed: bool = True, prompt: UUID | None = None
    ) -> UUID:
        reason = Reason(category, "says why", 0.8, 0.7, Verdict.REVIEW)
        item = NewReviewItem(
            uuid4(), "prompt", Verdict.REVIEW, (reason,), held=held, sealed=category == "sexual.minors", prompt=prompt
        )
        decision = Decision(
            uuid4(), uuid4(), "acme", "user-1", "create", Verdict.REVIEW, (reason,), (), "ab" * 32, (), {}
        )
        async with house.transaction() as conn:
            await decisions.record(conn, decision, [item])
        if routed:
            async with house.transaction() as conn:
                found = await review_items.get(conn, item.item_id)
                assert found is not None
                await review_items.route(conn, item.item_id, route(found, ReviewRules(), found.created_at), "review")
        return item.item_id

    return opened
