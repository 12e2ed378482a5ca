"""A person's work: what waits for them, the case in front of them, and each step that they take with it.

A step is a form of its own and leads on by itself: after a decision the next case is there, with a way back.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlencode
from uuid import UUID

from starlette.responses import JSONResponse, Response

from services.core.errors import InvalidInput, PortcullisError
from services.core.store import queues, wellness
from services.core.store.review_items import Resolution
from services.core.store.wellness import Exposure
from services.review.console import claimed, words
from services.review.console.door import Call, Page

RESOLUTIONS: dict[str, Resolution] = {"release": "release", "uphold": "uphold"}


async def show_work(call: Call) -> Response:
    """The queues that this person may take from, with what waits there, and the cases that they hold."""
    rules = call.console.policy.current.document.review
    async with call.console.database.transaction() as conn:
        waiting = await queues.waiting(conn, call.person, rules)
        mine = await queues.held_by(conn, call.person)
        seen = await wellness.exposure(conn, call.person.name)
    return call.page(
        "work.html.j2",
        queues=waiting,
        most=queues.MOST_COUNTED,
        mine=mine,
        exposure=seen,
        rest=needs_rest(call, seen),
        done=call.query("done", 36),
        what=call.query("what", 40),
        empty=bool(call.query("empty")),
        undo_seconds=call.console.review.undo_seconds,
    )


async def take_next(call: Call) -> Response:
    """The next case of a queue, or of all that one may take from."""
    return await _on(call, {})


async def take(call: Call) -> Response:
    """One case, by its id."""
    item_id = call.uuid("item")
    claim = await call.console.desk.take(call.person, item_id)
    return claimed.keep(call, call.to(f"/cases/{item_id}"), item_id, claim.token)


async def decide(call: Call) -> Response:
    """A decision, and the next case."""
    item_id = call.uuid("item")
    resolution = RESOLUTIONS.get(call.text("resolution"))
    if resolution is None:
        raise InvalidInput("resolution", "must be release or uphold")
    item = await call.console.desk.decide(
        call.person, item_id, claimed.token_of(call, item_id), resolution, call.text("comment"), _also(call)
    )
    said = {"done": str(item.batch), "what": words.decided(item.kind, item.stage, resolution)}
    return claimed.drop(await _on(call, said), item_id)


async def skip(call: Call) -> Response:
    """The case back, for somebody else, and the next one."""
    item_id = call.uuid("item")
    await call.console.desk.skip(call.person, item_id, claimed.token_of(call, item_id), _reason(call))
    return claimed.drop(await _on(call, {"what": words.SKIPPED}), item_id)


async def escalate(call: Call) -> Response:
    """The case to those with more experience, with a comment that says why, and the next one."""
    item_id, reason = call.uuid("item"), _reason(call)
    token = claimed.token_of(call, item_id)
    await call.console.desk.escalate(call.person, item_id, token, reason)
    await call.console.desk.comment(call.person, item_id, reason)
    return claimed.drop(await _on(call, {"what": words.ESCALATED}), item_id)


async def comment(call: Call) -> Response:
    """A comment on a case, held or not."""
    item_id = call.uuid("item")
    await call.console.desk.comment(call.person, item_id, _reason(call))
    return call.to(f"/cases/{item_id}")


async def give_back(call: Call) -> Response:
    """The case back to its queue, without a reason: one stops, or goes to rest."""
    item_id = call.uuid("item")
    await call.console.desk.release(call.person, item_id, claimed.token_of(call, item_id), "")
    return claimed.drop(call.to("/work"), item_id)


async def renew(call: Call) -> Response:
    """A longer lease, asked for by the page itself; JSON with how many seconds it lasts."""
    item_id = call.uuid("item")
    token = claimed.token_of(call, item_id)
    await call.console.desk.renew(call.person, item_id, token)
    answer = JSONResponse({"seconds": call.console.review.claim_seconds})
    return claimed.keep(call, answer, item_id, token)


async def undo(call: Call) -> Response:
    """One's own decision back, and its case again; the one that came after it is given back."""
    items = await call.console.desk.undo(call.person, _uuid(call, "batch"))
    first = min(items, key=lambda item: item.leader is not None).item_id
    claim = await call.console.desk.take(call.person, first)
    response = claimed.keep(call, call.to(f"/cases/{first}"), first, claim.token)
    return await _without(call, response)


async def take_break(call: Call) -> Response:
    """A break, or later one; the case that is open goes back to its queue."""
    async with call.console.database.transaction() as conn:
        await wellness.take_break(conn, call.person.name)
    if call.text("when") == "later":
        return call.to(f"/cases/{_uuid(call, 'item')}" if call.text("item") else "/work")
    return await _without(call, call.to("/break"))


async def show_break(call: Call) -> Response:
    """A page with nothing on it."""
    return call.page("break.html.j2")


def needs_rest(call: Call, seen: Exposure) -> str:
    """Why a break is proposed now, empty where none is."""
    settings = call.console.settings
    if seen.since_break >= settings.break_reveals:
        return f"You have revealed {seen.since_break} pictures since your last break."
    if seen.working_minutes >= settings.break_minutes:
        return f"You have worked for {seen.working_minutes:.0f} minutes."
    return ""


async def _on(call: Call, said: dict[str, str]) -> Response:
    """To the next case of the queue that one works on, or to the list of queues where none waits."""
    queue = call.text("queue", 64)
    claim = await call.console.desk.take_next(call.person, queue or None)
    if claim is None:
        return call.to("/work?" + urlencode({**said, "empty": "1"}))
    item_id = claim.item.item_id
    kept = {**said, **({"queue": queue} if queue else {})}
    path = f"/cases/{item_id}" + (f"?{urlencode(kept)}" if kept else "")
    return claimed.keep(call, call.to(path), item_id, claim.token)


async def _without(call: Call, response: Response) -> Response:
    """Gives back the case that is named in the form, if one still holds it."""
    try:
        item_id = UUID(call.text("item"))
        await call.console.desk.release(call.person, item_id, claimed.token_of(call, item_id), "")
    except (ValueError, PortcullisError):
        return response
    return claimed.drop(response, item_id)


def _reason(call: Call) -> str:
    text = call.text("comment").strip()
    if not text:
        raise InvalidInput("comment", "say why: 1 to 2,000 characters")
    return text


def _uuid(call: Call, name: str) -> UUID:
    try:
        return UUID(call.text(name))
    except ValueError as error:
        raise InvalidInput(name, "must be a UUID") from error


def _also(call: Call) -> Sequence[UUID]:
    """The other items of the case that the decision is for too."""
    try:
        return [UUID(text) for text in call.form.get("also", [])]
    except ValueError as error:
        raise InvalidInput("also", "must be UUIDs") from error


PAGES = (
    Page("GET", "/work", "review", show_work, "Work"),
    Page("POST", "/work/next", "review", take_next),
    Page("POST", "/undo", "review", undo),
    Page("POST", "/break", "review", take_break),
    Page("GET", "/break", "review", show_break),
    Page("POST", "/cases/{item}/take", "review", take),
    Page("POST", "/cases/{item}/decide", "review", decide),
    Page("POST", "/cases/{item}/skip", "review", skip),
    Page("POST", "/cases/{item}/escalate", "review", escalate),
    Page("POST", "/cases/{item}/comment", "review", comment),
    Page("POST", "/cases/{item}/give-back", "review", give_back),
    Page("POST", "/cases/{item}/renew", "review", renew, unattended=True),
)
