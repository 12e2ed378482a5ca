"""A database with a tenant, and cases in it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from uuid import UUID, uuid4

import pytest

from services.core.policy.review_rules import ReviewRules
from services.core.store import decisions, review_items, routings, tenants
from services.core.store.database import Database
from services.core.store.decisions import Decision
from services.core.store.review_items import Kind, NewReviewItem
from services.core.verdicts import Reason, Verdict
from services.review.routing import route

HOUSE_RULES = ReviewRules()
OpenCase = Callable[..., Awaitable[UUID]]


@pytest.fixture
async def house(governed: Database) -> Database:
    return governed


@pytest.fixture
def open_case(house: Database) -> OpenCase:
    """Opens a case as the gateway would, `hours` ago, routed as it came unless told otherwise."""

    async def opened(
        category: str = "violence",
        *,
        held: bool = True,
        routed: bool = True,
        prompt: UUID | None = None,
        verdict: Verdict = Verdict.REVIEW,
        kind: Kind = "content",
        decision: UUID | None = None,
        sketch: bytes = b"",
        tenant: str = "acme",
        rules: ReviewRules = HOUSE_RULES,
        hours: float = 0,
    ) -> UUID:
        reason = Reason(category, "says why", 0.8, 0.7, verdict)
        item = NewReviewItem(
            uuid4(),
            "prompt",
            verdict,
            (reason,),
            held=held,
            sealed=category == "sexual.minors",
            prompt=prompt,
            kind=kind,
            sketch=sketch,
        )
        made = Decision(
            decision or uuid4(), uuid4(), tenant, "user-1", "create", verdict, (reason,), (), "ab" * 32, (), {}
        )
        async with house.transaction() as conn:
            await tenants.create_tenant(conn, tenant)
            await decisions.record(conn, made, [item])
            await conn.execute(
                "UPDATE review_items SET created_at = created_at - make_interval(secs => %s) WHERE item_id = %s",
                [hours * 3600, item.item_id],
            )
        if routed:
            async with house.transaction() as conn:
                found = await review_items.get(conn, item.item_id)
                assert found is not None
                await routings.route(conn, item.item_id, route(found, rules, found.created_at), "review")
        return item.item_id

    return opened
