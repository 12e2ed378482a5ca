"""What the watch on the unusual has found: firings that nobody has seen first, each with its explanation."""

from __future__ import annotations

from starlette.responses import Response

from services.core.errors import NotFound
from services.core.store import anomalies, audit
from services.review.console.door import Call, Page

UNSEEN, SEEN = 100, 30


async def show(call: Call) -> Response:
    """Firings that nobody has seen, oldest first, and those that were seen last."""
    sees = call.person.sees()
    async with call.console.database.transaction() as conn:
        unseen = await anomalies.unseen(conn, sealed=sees, limit=UNSEEN)
        seen = await anomalies.seen(conn, sealed=sees, limit=SEEN)
    return call.page("flags.html.j2", unseen=unseen, seen=seen, most=UNSEEN)


async def mark_seen(call: Call) -> Response:
    """Says that one has seen a firing. Of a sealed one the audit trail, which others read, knows nothing."""
    anomaly_id, who = call.uuid("anomaly"), call.person.identity
    async with call.console.database.transaction() as conn:
        if await anomalies.mark_seen(conn, anomaly_id, who, sealed=[False]):
            await audit.append(conn, who, "anomaly.seen", str(anomaly_id))
        elif True not in call.person.sees() or not await anomalies.mark_seen(conn, anomaly_id, who, sealed=[True]):
            raise NotFound("there is no such flag, or somebody has seen it", reason="FLAG_UNKNOWN")
    return call.to("/flags")


PAGES = (
    Page("GET", "/flags", "accounts", show, "Flags"),
    Page("POST", "/flags/{anomaly}/seen", "accounts", mark_seen),
)
