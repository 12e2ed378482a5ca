"""What leads look at: how far behind the desk is, how well it judges, known cases, and the week's thresholds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from starlette.responses import Response

from services.core.errors import InvalidInput
from services.core.store import backlog, golden, quality, queues
from services.core.store.quality import Day
from services.review import weekly
from services.review.agreement import TeamFigures
from services.review.console.door import Call, Page
from services.review.console.kept import Result
from services.review.thresholds import FAULT, FEWEST

DAYS = 14
AGE = timedelta(days=DAYS)
FRESH = timedelta(minutes=2)
LONGEST_NOTE = 2000


@dataclass(frozen=True, slots=True)
class Figures:
    """What the team did in the last 14 days: by queue and person, and day by day."""

    team: TeamFigures
    days: Sequence[Day]


async def figures(call: Call) -> Result[Figures]:
    """The team's figures as this person may know of them, at most some minutes old; to be shown to leads alone."""
    sees = call.person.sees()

    async def reckon() -> Figures:
        team = await call.console.desk.figures(sees, AGE)
        async with call.console.database.transaction() as conn:
            return Figures(team, await quality.days(conn, DAYS, sees))

    name = "figures of all cases" if call.person.may("sealed") else "figures"
    return await call.console.kept.fresh(name, reckon, FRESH)


async def show_desk(call: Call) -> Response:
    """The queues, and the team's figures."""
    rules = call.console.policy.current.document.review
    async with call.console.database.transaction() as conn:
        names = await queues.known(conn, call.person, rules)
        waiting = await backlog.of_queues(conn, names, call.person.sees())
        unrouted = await backlog.unrouted(conn, call.person.sees())
    return call.page(
        "desk.html.j2",
        queues=waiting,
        unrouted=unrouted,
        rules=rules,
        most=backlog.MOST_COUNTED,
        figures=await figures(call),
        days=DAYS,
    )


async def show_golden(call: Call) -> Response:
    """The known cases, how often they were judged right, and a form for one more."""
    async with call.console.database.transaction() as conn:
        cases = await golden.listed(conn)
    return call.page("golden.html.j2", cases=cases, longest=LONGEST_NOTE)


async def add_golden(call: Call) -> Response:
    """Makes a settled case golden."""
    async with call.console.database.transaction() as conn:
        await golden.add(conn, _uuid("item", call.text("item", 36)), call.text("note").strip(), call.person.identity)
    return call.to("/desk/golden")


async def retire_golden(call: Call) -> Response:
    """Hands a known case out no more."""
    async with call.console.database.transaction() as conn:
        await golden.retire(conn, call.uuid("golden"), call.person.identity)
    return call.to("/desk/golden")


async def show_thresholds(call: Call) -> Response:
    """The newest weekly report."""
    async with call.console.database.transaction() as conn:
        report = await weekly.latest(conn)
    week, rows = report or (None, [])
    return call.page("thresholds.html.j2", week=week, rows=rows, fewest=FEWEST, fault=FAULT)


def _uuid(name: str, text: str) -> UUID:
    try:
        return UUID(text.strip())
    except ValueError as error:
        raise InvalidInput(name, "must be the whole id of a case, as its address has it") from error


PAGES = (
    Page("GET", "/desk", "team", show_desk, "Desk"),
    Page("GET", "/desk/golden", "team", show_golden),
    Page("POST", "/desk/golden", "team", add_golden),
    Page("POST", "/desk/golden/{golden}/retire", "team", retire_golden),
    Page("GET", "/desk/thresholds", "team", show_thresholds),
)
