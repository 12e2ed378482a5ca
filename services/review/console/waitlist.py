"""Who waits for an invitation to the next tier, platform by platform."""

from __future__ import annotations

from starlette.responses import Response

from services.core.errors import InvalidInput
from services.core.standing import trust
from services.core.store import tenants, waitlist
from services.review.console.accounts import LONGEST_ACCOUNT, reason
from services.review.console.door import Call, Page

MOST = 50  # that are listed, and invited at once


async def show(call: Call) -> Response:
    """Those who have waited longest."""
    async with call.console.database.transaction() as conn:
        names = [name for name, *_ in await tenants.list_tenants(conn)]
        tenant = call.query("tenant", 64) or (names[0] if names else "")
        waiting = await waitlist.waiting(conn, tenant, MOST)
    return call.page(
        "waitlist.html.j2", tenants=names, tenant=tenant, waiting=waiting, most=MOST, next_tier=waitlist.NEXT
    )


async def invite(call: Call) -> Response:
    """Invites those who were chosen, all or none."""
    tenant, why = call.text("tenant", 64), reason(call)
    chosen = list(dict.fromkeys(call.form.get("account", [])))
    if not 0 < len(chosen) <= MOST or any("\x00" in name or len(name) > LONGEST_ACCOUNT for name in chosen):
        raise InvalidInput("account", f"choose 1 to {MOST}")
    async with call.console.database.transaction() as conn:
        for account in sorted(chosen):
            await trust.invite(conn, tenant, account, call.person.identity, why)
    return call.to(f"/waitlist?tenant={tenant}")


PAGES = (
    Page("GET", "/waitlist", "accounts", show),
    Page("POST", "/waitlist/invite", "accounts", invite),
)
