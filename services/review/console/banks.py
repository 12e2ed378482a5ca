"""Banks of words, people and images: what is in them, and of images what is thought of an entry and whether it matches.

Words, people and pictures come in by command alone: nothing is uploaded here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, get_args
from urllib.parse import urlencode

from starlette.responses import Response

from services.core.errors import InvalidInput, NotFound
from services.core.store import bank_lists, banks
from services.core.store.bank_lists import BankKind
from services.core.store.banks import OPINIONS
from services.core.store.database import Connection
from services.core.store.terms import NAME
from services.review.console.accounts import reason
from services.review.console.door import Call, Page

PAGE_SIZE = 50
LONGEST = 200
HOUSE = "*"  # in addresses, where a bank is of no tenant
KINDS: dict[str, BankKind] = {kind: kind for kind in get_args(BankKind)}
# What a match with a bank of images is told as.
MATCHED = "known_image"


@dataclass(frozen=True, slots=True)
class Which:
    """A bank, as addresses name it; `tenant` None: the house's."""

    kind: BankKind
    tenant: str | None
    name: str

    @property
    def path(self) -> str:
        """Its page."""
        return f"/banks/{self.kind}/{self.tenant or HOUSE}/{self.name}"


async def list_banks(call: Call) -> Response:
    """All banks."""
    async with call.console.database.transaction() as conn:
        found = await bank_lists.banks(conn)
    rows = [(bank, Which(bank.kind, bank.tenant, bank.bank).path) for bank in found]
    return call.page("banks.html.j2", rows=rows, most=bank_lists.MOST_COUNTED, many=len(found) >= bank_lists.MOST_BANKS)


async def show_bank(call: Call) -> Response:
    """A page of one bank's entries, of those that were searched for."""
    which, like = _which(call), call.query("like", LONGEST)
    after = call.request.query_params.getlist("after")[:2]
    if any("\x00" in text or len(text) > LONGEST for text in after):
        raise InvalidInput("after", "must be as the page before gave it")
    async with call.console.database.transaction() as conn:
        bank = await bank_lists.bank(conn, which.kind, which.tenant, which.name)
        until = await bank_lists.look_ends(conn, which.kind, which.tenant, which.name, _first(after)) if like else None
        found, places = await _entries(conn, which, like, after, until)
    return call.page(
        "bank.html.j2",
        which=which,
        bank=bank,
        most=bank_lists.MOST_COUNTED,
        entries=found[:PAGE_SIZE],
        like=like,
        more=_more(like, places, until),
        opinions=OPINIONS,
        counts=_may_count(call),
    )


async def change_bank(call: Call) -> Response:
    """Lets a bank of images match, or not."""
    which, why = _images(call), reason(call)
    async with call.console.database.transaction() as conn:
        await banks.enable(conn, which.tenant, which.name, "", _enabled(call), call.person.identity, why)
    return call.to(which.path)


async def change_entry(call: Call) -> Response:
    """Says what is thought of an entry, and whether it matches; only what is another than before is written."""
    which, why, entry = _images(call), reason(call), call.text("entry", 128)
    opinion = next((name for name in OPINIONS if name == call.text("opinion", 40)), None)
    if opinion is None or not entry:
        raise InvalidInput("opinion", f"one of {', '.join(OPINIONS)}, of an entry")
    enabled, who = _enabled(call), call.person.identity
    async with call.console.database.transaction() as conn:
        known = await banks.entry(conn, which.tenant, which.name, entry)
        if known.opinion != opinion:
            await banks.judge(conn, which.tenant, which.name, entry, opinion, who, why)
        if known.enabled != enabled:
            await banks.enable(conn, which.tenant, which.name, entry, enabled, who, why)
    return call.to(f"{which.path}?{urlencode({'like': call.text('like', LONGEST)})}")


async def _entries(
    conn: Connection, which: Which, like: str, after: list[str], until: str | None
) -> tuple[list[Any], list[tuple[str, ...]]]:
    """One entry more than a page has, and the place of each; none after `until`, where that is named."""
    first = _first(after)
    if which.kind == "words" and which.tenant is not None:
        place = (first, after[1]) if len(after) == 2 else ("", "")
        terms = await bank_lists.words(conn, which.tenant, which.name, like, place, PAGE_SIZE + 1)
        return terms, [term.key for term in terms]
    if which.kind == "people":
        people = await bank_lists.people(conn, which.name, like, first, PAGE_SIZE + 1, until)
        return people, [(person.entry,) for person in people]
    rows = await banks.entries(conn, which.tenant, which.name, like, PAGE_SIZE + 1, first, until)
    return rows, [(row.entry,) for row in rows]


def _first(after: list[str]) -> str:
    return after[0] if after else ""


def _more(like: str, places: list[tuple[str, ...]], until: str | None) -> str:
    """The query of the next page, empty on the last; a search goes on where it ended."""
    full = len(places) > PAGE_SIZE
    place = places[PAGE_SIZE - 1] if full else () if until is None else (until,)
    return urlencode([("like", like), *(("after", part) for part in place)]) if place else ""


def _may_count(call: Call) -> bool:
    """Whether this person may know how often entries matched: not where such matches are sealed by the policy."""
    return MATCHED not in call.console.policy.current.document.review.seals or call.person.may("sealed")


def _which(call: Call) -> Which:
    kind = KINDS.get(call.path("kind"))
    if kind is None:
        raise NotFound("there is no such page", reason="PAGE_UNKNOWN")
    return _named(call, kind)


def _images(call: Call) -> Which:
    return _named(call, "images")


def _named(call: Call, kind: BankKind) -> Which:
    tenant, name = call.path("tenant"), call.path("bank")
    if not NAME.fullmatch(name) or (tenant != HOUSE and not NAME.fullmatch(tenant)):
        raise NotFound("there is no such page", reason="PAGE_UNKNOWN")
    return Which(kind, None if tenant == HOUSE else tenant, name)


def _enabled(call: Call) -> bool:
    said = call.text("enabled", 3)
    if said not in ("yes", "no"):
        raise InvalidInput("enabled", "yes or no")
    return said == "yes"


PAGES = (
    Page("GET", "/banks", "banks", list_banks, "Banks"),
    Page("GET", "/banks/{kind}/{tenant}/{bank}", "banks", show_bank),
    Page("POST", "/banks/images/{tenant}/{bank}/change", "banks", change_bank),
    Page("POST", "/banks/images/{tenant}/{bank}/entry", "banks", change_entry),
)
