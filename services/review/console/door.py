"""The console's door: every page is in a table with what it takes to see it; who asks is known before it is opened.

A page that the table does not name does not exist, and one whose permission nobody has named cannot be put into it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args
from urllib.parse import parse_qs, quote
from uuid import UUID

from prometheus_client import Histogram
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from services.core.errors import ConfigurationError, InvalidInput, NotFound, PermissionDenied, Unauthenticated
from services.core.staff import Analyst, Permission
from services.core.store import sessions
from services.core.telemetry import LATENCY_BUCKETS
from services.review.console.console import Console
from services.review.console.rendering import render

Needs = Permission | Literal["anyone", "person"]
NEEDS = frozenset((*get_args(Permission), "anyone", "person"))

PAGE_SECONDS = Histogram(
    "portcullis_console_seconds", "Duration of one page.", ["method", "page"], buckets=LATENCY_BUCKETS
)

COOKIE = "__Host-portcullis"
LARGEST_BODY = 64 * 1024
MOST_FIELDS = 256  # a decision names up to 200 near-duplicates
LONGEST_TEXT = 2000


@dataclass(frozen=True, slots=True)
class Call:
    """One request, with all that a page works with. `form` holds the values of each field of a POST."""

    request: Request
    console: Console
    analyst: Analyst | None
    token: str = field(default="", repr=False)
    form: Mapping[str, list[str]] = field(default_factory=dict[str, list[str]], repr=False)
    menu: Sequence[Page] = ()

    @property
    def person(self) -> Analyst:
        """Who asks; the door let nobody else in."""
        if self.analyst is None:
            raise Unauthenticated("sign in first")
        return self.analyst

    @property
    def csrf(self) -> str:
        """What every form of this session carries."""
        return csrf_of(self.token) if self.token else ""

    def path(self, name: str) -> str:
        """A parameter of the path."""
        return str(self.request.path_params[name])

    def query(self, name: str, longest: int = 200) -> str:
        """A parameter of the query, empty where there is none; raises InvalidInput where it is too long."""
        return _bounded(name, self.request.query_params.get(name, ""), longest)

    def number(self, name: str) -> int | None:
        """A parameter of the query where a list goes on, None where there is none; raises InvalidInput for others."""
        text = self.query(name, 18)
        if text and not (text.isascii() and text.isdigit()):
            raise InvalidInput(name, "must be a number that a page before gave")
        return int(text) if text else None

    def text(self, name: str, longest: int = LONGEST_TEXT) -> str:
        """A field of the form, empty where there is none; raises InvalidInput where it is too long."""
        return _bounded(name, self.form.get(name, [""])[-1].replace("\r\n", "\n"), longest)

    def uuid(self, name: str) -> UUID:
        """A parameter of the path that is an id; raises NotFound where it is none."""
        try:
            return UUID(self.path(name))
        except ValueError as error:
            raise NotFound("there is no such page", reason="PAGE_UNKNOWN") from error

    def page(self, template: str, status: int = 200, **values: Any) -> Response:
        """A page of HTML, with what every page shows."""
        html = render(template, call=self, **values)
        return Response(html, status, media_type="text/html; charset=utf-8")

    def to(self, path: str) -> Response:
        """Sends the browser to another page of ours, by GET."""
        return RedirectResponse(path, 303)


Handler = Callable[[Call], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Page:
    """A way into the console: `needs` is the permission, or "person" for all who signed in, or "anyone".

    A page with a `title` is in the menu of those who may see it. `unattended`: a page of ours asks for it by itself,
    which is no sign that anybody sits there.
    """

    method: Literal["GET", "POST"]
    path: str
    needs: Needs
    handler: Handler
    title: str = ""
    unattended: bool = False

    def open_to(self, analyst: Analyst | None) -> bool:
        """Whether this person, or nobody (None), may come in."""
        if self.needs == "anyone" or analyst is None:
            return self.needs == "anyone"
        return self.needs == "person" or analyst.may(self.needs)


def routes(console: Console, pages: Sequence[Page]) -> list[Route]:
    """The table as Starlette's; raises ConfigurationError for a page that does not say who may see it."""
    for page in pages:
        if page.needs not in NEEDS:
            raise ConfigurationError(f"the page {page.method} {page.path} needs {page.needs!r}, which nobody can have")
    menu = [page for page in pages if page.title]
    return [Route(page.path, _guarded(console, page, menu), methods=[page.method]) for page in pages]


def csrf_of(token: str) -> str:
    """The token that proves a form to be ours: nobody can make it who does not have the session's own."""
    digest = hmac.digest(token.encode(), b"portcullis console csrf", hashlib.sha256)
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def set_session(response: Response, token: str) -> Response:
    """Gives the browser its session; it forgets it when it is closed."""
    response.set_cookie(COOKIE, token, path="/", secure=True, httponly=True, samesite="strict")
    return response


def _guarded(console: Console, page: Page, menu: Sequence[Page]) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        if page.method == "POST":
            _check_source(request, console.origin)
        token = request.cookies.get(COOKIE, "")
        analyst = await _who(console, token, seen=not page.unattended) if token else None
        if analyst is None and page.needs != "anyone":
            return _to_login(request)
        if not page.open_to(analyst):
            raise PermissionDenied("this page is for other roles than yours", reason="ROLE_NEEDED")
        form = await _read_form(request) if page.method == "POST" else {}
        mine = [entry for entry in menu if entry.open_to(analyst)]
        call = Call(request, console, analyst, token if analyst else "", form, mine)
        if page.method == "POST" and analyst is not None:
            _check_csrf(call)
        with PAGE_SECONDS.labels(page.method, page.path).time():
            return await page.handler(call)

    return endpoint


async def _who(console: Console, token: str, *, seen: bool) -> Analyst | None:
    async with console.database.transaction() as conn:
        return await sessions.resume(conn, token, console.settings.lifetime, seen=seen)


def _to_login(request: Request) -> Response:
    """To the login, and back afterwards; who follows a link from elsewhere comes again from here, with the cookie.

    A browser leaves a cookie of SameSite=Strict out of what another site made it ask for.
    """
    if request.headers.get("accept", "").startswith("application/json") or request.method != "GET":
        raise Unauthenticated("your session has ended; sign in again")
    back = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    if request.headers.get("sec-fetch-site") == "cross-site":
        return Response(render("again.html.j2", call=None, path=back), media_type="text/html; charset=utf-8")
    return RedirectResponse("/login" if back == "/" else f"/login?next={quote(back, safe='')}", 303)


def _check_source(request: Request, origin: str) -> None:
    """Refuses what another site made the browser send.

    Our own pages name no referrer, for which browsers write "null" as the origin; then Fetch Metadata must vouch.
    """
    site = request.headers.get("sec-fetch-site")
    stated = request.headers.get("origin")
    same = stated == origin or (stated in (None, "null") and site == "same-origin")
    if not same or site not in (None, "same-origin"):
        raise PermissionDenied("this came from another site", reason="CROSS_SITE")


def _check_csrf(call: Call) -> None:
    given = call.request.headers.get("x-csrf-token") or call.form.get("csrf", [""])[-1]
    if not hmac.compare_digest(given.encode(), call.csrf.encode()):
        raise PermissionDenied("this form is not of your session; load the page again", reason="CSRF")


async def _read_form(request: Request) -> dict[str, list[str]]:
    """The fields of a form, URL-encoded; raises InvalidInput for anything else, or too much of it."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise InvalidInput("form", "application/x-www-form-urlencoded alone is taken")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_BODY:
            raise InvalidInput("form", f"at most {LARGEST_BODY} bytes are taken")
    try:
        return parse_qs(bytes(body).decode(), keep_blank_values=True, errors="strict", max_num_fields=MOST_FIELDS)
    except ValueError as error:
        raise InvalidInput("form", f"UTF-8, and at most {MOST_FIELDS} fields, are taken") from error


def _bounded(name: str, text: str, longest: int) -> str:
    if len(text) > longest or "\x00" in text:
        raise InvalidInput(name, f"at most {longest} characters, none of them NUL")
    return text
