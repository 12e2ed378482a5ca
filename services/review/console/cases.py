"""Cases listed: what waits, is held, or was decided, as far as a person may know of it."""

from __future__ import annotations

from typing import get_args

from starlette.responses import Response

from services.core.errors import InvalidInput
from services.core.store import queues, review_items
from services.core.store.review_items import State
from services.review import page_token
from services.review.console.door import Call, Page

PAGE_SIZE = 50
STATES: tuple[State, ...] = get_args(State)


async def list_cases(call: Call) -> Response:
    """A page of cases in the order of their turn, of one queue or state or of all."""
    queue, state = call.query("queue", 64) or None, _state(call.query("state"))
    after = page_token.decode(call.query("after"))
    async with call.console.database.transaction() as conn:
        names = await queues.known(conn, call.person, call.console.policy.current.document.review)
        # By another name none is looked for, nor does it take time: what is sealed is like what is not there.
        if queue is not None and queue not in names:
            raise InvalidInput("queue", f"one of {', '.join(names)}")
        found = await review_items.list_items(
            conn, queue=queue, state=state, sealed=call.person.sees(), after=after, limit=PAGE_SIZE + 1
        )
    items = found[:PAGE_SIZE]
    more = page_token.encode(review_items.place_of(items[-1])) if len(found) > PAGE_SIZE else ""
    return call.page(
        "cases.html.j2", items=items, more=more, queue=queue or "", state=state or "", queues=names, states=STATES
    )


def _state(name: str) -> State | None:
    for state in STATES:
        if state == name:
            return state
    if name:
        raise InvalidInput("state", f"one of {', '.join(STATES)}")
    return None


PAGES = (Page("GET", "/cases", "review", list_cases, "Cases"),)
