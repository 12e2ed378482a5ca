"""One's own page: roles, what one has had to look at today, and what one does not want to be given."""

from __future__ import annotations

from starlette.responses import Response

from services.core.errors import InvalidInput, NotFound
from services.core.policy.categories import CATEGORIES, parent
from services.core.store import staff, wellness
from services.review.agreement import PersonFigures
from services.review.console import team
from services.review.console.door import Call, Page


async def show_me(call: Call) -> Response:
    """The page."""
    async with call.console.database.transaction() as conn:
        member = await staff.get(conn, call.person.name)
        seen = await wellness.exposure(conn, call.person.name)
    if member is None:
        raise NotFound("there is nobody of this name", reason="STAFF_UNKNOWN")
    return call.page(
        "me.html.j2",
        member=member,
        exposure=seen,
        categories=_offered(call),
        saved=bool(call.query("saved")),
        own=await _own_figures(call),
        days=team.DAYS,
    )


async def _own_figures(call: Call) -> list[PersonFigures]:
    """How one judged lately, queue by queue; nothing of anybody else."""
    if not call.person.may("review"):
        return []
    known = (await team.figures(call)).value
    return known.team.of(call.person) if known else []


async def save_opt_out(call: Call) -> Response:
    """The categories that one is not given from now on, each with its children."""
    chosen = set(call.form.get("category", []))
    if not chosen <= set(_offered(call)):
        raise InvalidInput("category", "must be categories of the house")
    categories = {name for name in CATEGORIES if name in chosen or parent(name) in chosen}
    async with call.console.database.transaction() as conn:
        await staff.set_opt_out(conn, call.person.name, categories)
    return call.to("/me?saved=1")


def _offered(call: Call) -> list[str]:
    """Those that one could be given at all: nobody opts out of what does not exist for them."""
    seals = call.console.policy.current.document.review.seals
    return [name for name in CATEGORIES if name not in seals or call.person.may("sealed")]


PAGES = (
    Page("GET", "/me", "person", show_me),
    Page("POST", "/me/opt-out", "person", save_opt_out),
)
