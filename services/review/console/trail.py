"""The audit trail: who did what to the house, each case's own trail, and the proof that nobody changed it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from starlette.responses import Response

from services.core.errors import InvalidInput, NotFound
from services.core.store import audit, review_events, review_items
from services.core.store.audit import Flaw, Head, Look
from services.review.console.door import Call, Page

PAGE_SIZE = 50
MOST_FLAWS = 20
LONGEST_SECONDS = 1800.0
VERIFICATION = "verification of the audit trail"


@dataclass(frozen=True, slots=True)
class Verified:
    """Where the chain ended when it was checked, and the first 21 places that do not add up: more than 20 are shown as
    such, and end the check.
    """

    head: Head
    flaws: tuple[Flaw, ...]


async def show_trail(call: Call) -> Response:
    """A page of events, newest first."""
    wanted = {name: call.query(name) for name in ("actor", "action", "subject")}
    look = Look(**wanted, sealed=call.person.may("sealed"))
    async with call.console.database.transaction() as conn:
        events, end = await audit.page(conn, look, call.number("before"), PAGE_SIZE)
    more = urlencode({**wanted, "before": end}) if end is not None else ""
    return call.page("audit.html.j2", events=events, look=look, more=more, told=told)


def told(detail: Mapping[str, Any]) -> str:
    """An event's particulars in one line."""
    return "; ".join(f"{name}: {_words(value)}" for name, value in detail.items())


async def open_item(call: Call) -> Response:
    """To the trail of the case that was typed in."""
    try:
        return call.to(f"/audit/items/{UUID(call.query('item', 64).strip())}")
    except ValueError as error:
        raise InvalidInput("item", "must be the whole id of a case") from error


async def show_item(call: Call) -> Response:
    """A case's own trail, and whether it adds up."""
    item_id = call.uuid("item")
    async with call.console.database.transaction() as conn:
        events, flaws = await review_events.chain(conn, item_id)
        item = await review_items.get(conn, item_id)
    if item is None or item.sealed not in call.person.sees():
        raise NotFound("there is no such item", reason="ITEM_UNKNOWN")
    return call.page("audit_item.html.j2", item=item, events=events, flaws=flaws, told=told)


async def verify(call: Call) -> Response:
    """Begins to check the whole chain, unless somebody has begun already."""
    call.console.kept.begin(VERIFICATION, lambda: _verify(call))
    return call.to("/audit/verification")


async def show_verification(call: Call) -> Response:
    """What the last check found."""
    result = await call.console.kept.last(VERIFICATION)
    return call.page("audit_verification.html.j2", result=result, most=MOST_FLAWS)


async def _verify(call: Call) -> Verified:
    """Goes through all events, some at a time, in one snapshot that its own connection holds."""
    flaws: list[Flaw] = []
    async with call.console.database.transaction(LONGEST_SECONDS) as conn:
        async with aclosing(audit.verify(conn)) as found:
            async for flaw in found:
                flaws.append(flaw)
                if len(flaws) > MOST_FLAWS:
                    break
        return Verified(await audit.head(conn), tuple(flaws))


def _words(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_words, value))
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


PAGES = (
    Page("GET", "/audit", "audit", show_trail, "Audit"),
    Page("GET", "/audit/items", "audit", open_item),
    Page("GET", "/audit/items/{item}", "audit", show_item),
    Page("POST", "/audit/verify", "audit", verify),
    Page("GET", "/audit/verification", "audit", show_verification),
)
