"""Reports and appeals that wait for a decision, those that are due first above."""

from __future__ import annotations

from starlette.responses import Response

from services.core.policy.review_rules import Kind
from services.core.store import reports, review_items
from services.core.store.database import Connection
from services.core.store.review_items import ReviewItem
from services.review import page_token
from services.review.console.door import Call, Page

PAGE_SIZE = 50


async def list_reports(call: Call) -> Response:
    """Open reports: each a picture, with how many reported it and how much they weigh together."""
    async with call.console.database.transaction() as conn:
        items, more = await _page(conn, call, "report")
        weights = await reports.of_cases(conn, [item.item_id for item in items])
    return call.page("complaints.html.j2", title="Reports", items=items, weights=weights, more=more)


async def list_appeals(call: Call) -> Response:
    """Open appeals."""
    async with call.console.database.transaction() as conn:
        items, more = await _page(conn, call, "appeal")
    return call.page("complaints.html.j2", title="Appeals", items=items, weights={}, more=more)


async def _page(conn: Connection, call: Call, kind: Kind) -> tuple[list[ReviewItem], str]:
    """A page of open cases of a kind, and where the next one begins; empty on the last."""
    after = page_token.decode(call.query("after"))
    found = await review_items.open_by_due(conn, kind, call.person.sees(), after, PAGE_SIZE + 1)
    items = found[:PAGE_SIZE]
    return items, page_token.encode(review_items.due_place_of(items[-1])) if len(found) > PAGE_SIZE else ""


PAGES = (
    Page("GET", "/reports", "review", list_reports, "Reports"),
    Page("GET", "/appeals", "review", list_appeals, "Appeals"),
)
