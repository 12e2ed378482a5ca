"""Reports and appeals that wait for a decision, those that are due first above."""

from __future__ import annotations

from starlette.responses import Response

from services.core.store import reports, review_items
from services.review.console.door import Call, Page

MOST = 100


async def list_reports(call: Call) -> Response:
    """Open reports: each a picture, with how many reported it and how much they weigh together."""
    async with call.console.database.transaction() as conn:
        items = await review_items.open_by_due(conn, "report", call.person.sees(), MOST)
        weights = await reports.of_cases(conn, [item.item_id for item in items])
    return call.page("complaints.html.j2", title="Reports", items=items, weights=weights, most=MOST)


async def list_appeals(call: Call) -> Response:
    """Open appeals."""
    async with call.console.database.transaction() as conn:
        items = await review_items.open_by_due(conn, "appeal", call.person.sees(), MOST)
    return call.page("complaints.html.j2", title="Appeals", items=items, weights={}, most=MOST)


PAGES = (
    Page("GET", "/reports", "review", list_reports, "Reports"),
    Page("GET", "/appeals", "review", list_appeals, "Appeals"),
)
