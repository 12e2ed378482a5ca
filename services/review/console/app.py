"""The console as an ASGI application: its table of pages, the headers of every answer, and its errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from urllib.parse import urlsplit

import structlog
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.core import telemetry
from services.core.errors import NotFound, PortcullisError
from services.core.staff import Permission
from services.review.console import (
    accounts,
    banks,
    case,
    cases,
    complaints,
    flags,
    login,
    me,
    oidc,
    policy,
    team,
    trail,
    waitlist,
    work,
)
from services.review.console.console import Console
from services.review.console.door import Call, Page, routes
from services.review.console.rendering import asset, load, render

STATUSES: Mapping[str, int] = {
    "INVALID_ARGUMENT": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "ABORTED": 409,
    "FAILED_PRECONDITION": 409,
    "RESOURCE_EXHAUSTED": 429,
    "UNAVAILABLE": 503,
}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; form-action 'self'; connect-src 'self';"
    " frame-ancestors 'none'; base-uri 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "X-Robots-Tag": "noindex, nofollow",
}
TWO_YEARS = "max-age=63072000; includeSubDomains"

log = structlog.get_logger()


async def show_asset(call: Call) -> Response:
    """A file of ours, kept by browsers for as long as its address is the same."""
    try:
        data, kind = asset(call.path("name"))
    except KeyError as error:
        raise NotFound("there is no such page", reason="PAGE_UNKNOWN") from error
    return Response(data, media_type=kind, headers={"Cache-Control": "public, max-age=31536000, immutable"})


async def show_health(call: Call) -> Response:
    """Whether the console may be used; raises Unavailable while Postgres does not answer."""
    await call.console.desk.ready()
    return PlainTextResponse("serving\n")


async def show_start(call: Call) -> Response:
    """Each person's first page."""
    first = next((page for permission, page in FIRST_PAGES if call.person.may(permission)), "/me")
    return call.to(first)


FIRST_PAGES: Sequence[tuple[Permission, str]] = (("review", "/work"), ("policy", "/policy"), ("audit", "/audit"))

PAGES: Sequence[Page] = (
    Page("GET", "/", "person", show_start),
    Page("GET", "/health", "anyone", show_health),
    Page("GET", "/static/{name}", "anyone", show_asset),
    *login.PAGES,
    *oidc.PAGES,
    *work.PAGES,
    *cases.PAGES,
    *case.PAGES,
    *complaints.PAGES,
    *accounts.PAGES,
    *waitlist.PAGES,
    *flags.PAGES,
    *banks.PAGES,
    *team.PAGES,
    *policy.PAGES,
    *trail.PAGES,
    *me.PAGES,
)


def make_app(console: Console) -> ASGIApp:
    """The whole console."""
    load()
    handlers = {PortcullisError: _told, HTTPException: _http, Exception: _fault}
    return Armour(Starlette(routes=routes(console, PAGES), exception_handlers=handlers), console)


class Armour:
    """Puts the headers of safety on every answer, and turns away who asks for another host than ours.

    The latter keeps a page whose name was rebound to this machine's address from reading ours.
    """

    def __init__(self, app: ASGIApp, console: Console) -> None:
        self._app = app
        self._host = urlsplit(console.origin).netloc.lower()
        self._fixed = {**HEADERS, **({"Strict-Transport-Security": TWO_YEARS} if console.settings.secure else {})}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_armoured(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.setdefault("Cache-Control", "no-store")
                for name, value in self._fixed.items():
                    headers[name] = value
            await send(message)

        host = dict(scope["headers"]).get(b"host", b"").decode("latin-1").lower()
        if host != self._host and scope["path"] != "/health":
            await PlainTextResponse("this console has another address\n", 421)(scope, receive, send_armoured)
            return
        with suppress(Exception):  # Starlette raises again what `_fault` has answered and logged
            await self._app(scope, receive, send_armoured)


async def _told(request: Request, error: Exception) -> Response:
    assert isinstance(error, PortcullisError), "it is registered for these"
    headers = {"Retry-After": f"{max(1, round(error.retry_after))}"} if error.retry_after is not None else {}
    return _answer(request, STATUSES.get(error.code, 500), error.reason, error.message, headers)


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException), "it is registered for these"
    words = {404: "there is no such page", 405: "this page does not do that"}
    return _answer(request, error.status_code, "PAGE_UNKNOWN", words.get(error.status_code, "that did not work"), {})


async def _fault(request: Request, error: Exception) -> Response:
    log.error("a page failed", **telemetry.fault(error))
    return _answer(request, 500, "FAULT", "something broke here; it was written to the log", {})


def _answer(request: Request, status: int, reason: str, message: str, headers: Mapping[str, str]) -> Response:
    if request.headers.get("accept", "").startswith("application/json"):
        return JSONResponse({"reason": reason, "message": message}, status, headers=dict(headers))
    html = render("error.html.j2", call=None, status=status, message=message)
    return Response(html, status, headers=dict(headers), media_type="text/html; charset=utf-8")
