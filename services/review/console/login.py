"""Coming in and going out: password and second factor, invitations, and one's own page's way out.

Whatever is wrong with a login, the answer is the same and takes as long. Attempts are counted in Postgres before they
are looked at, by name and by address.
"""

from __future__ import annotations

import time

import segno
from markupsafe import Markup
from starlette.responses import Response

from services.core.errors import FailedPrecondition, InvalidInput, Unauthenticated
from services.core.store import audit, sessions, staff
from services.core.store.staff import Invitation, Member
from services.review.console import passwords, second_factor
from services.review.console.door import COOKIE, Call, Page, set_session

# Failures in a row before each next one doubles the wait.
FREE_BY_NAME, FREE_BY_ADDRESS = 5, 40
LONGEST_WAIT_SECONDS = 300.0
_NOBODYS_SECRET = second_factor.new_secret()


async def show_login(call: Call) -> Response:
    """The form, or the way on for who is in already."""
    if call.analyst is not None:
        return call.to(local(call.query("next", 2000)))
    return _login_page(call, 200, "", "", local(call.query("next", 2000)))


async def sign_in(call: Call) -> Response:
    """A session for a name with its password and a code that was not used before."""
    if call.console.settings.oidc_issuer:
        raise FailedPrecondition("people of this house sign in with its identity provider", reason="OIDC_ONLY")
    name, path = call.text("name", 200).strip().lower()[:63], local(call.text("next"))
    if wait := await _count(call, name):
        message = f"too many attempts; try again in {wait:.0f} s"
        return _login_page(call, 429, message, name, path, {"Retry-After": f"{wait:.0f}"})
    async with call.console.database.transaction() as conn:
        member = await staff.get(conn, name)
    if member is not None and member.disabled_at is not None:
        member = None
    right = await passwords.matches(member.password_hash if member else None, call.text("password", 1024))
    step = _step(call, member, call.text("code", 100))
    if member is None or not right or not await _use_code(call, member, step):
        return _login_page(call, 401, "this name, password and code do not go together", name, path)
    return await enter(call, member.name, path)


async def enter(call: Call, name: str, path: str) -> Response:
    """Begins a new session and ends the one that the browser came with."""
    async with call.console.database.transaction() as conn:
        await sessions.end(conn, call.request.cookies.get(COOKIE, ""))
        token = await sessions.begin(conn, name)
        await sessions.forgive(conn, f"name/{name}")
        await sessions.uncount(conn, _address(call))
        await audit.append(conn, f"analyst/{name}", "staff.login", name)
    return set_session(call.to(path), token)


async def sign_out(call: Call) -> Response:
    """Ends the session, here and in Postgres."""
    async with call.console.database.transaction() as conn:
        await sessions.end(conn, call.token)
    response = call.to("/login")
    response.delete_cookie(COOKIE, path="/", secure=True, httponly=True, samesite="strict")
    response.headers["Clear-Site-Data"] = '"cache", "storage"'
    return response


async def show_invitation(call: Call) -> Response:
    """The form for a password and the first code, with the secret for the authenticator app."""
    found, secret = await _invited(call)
    return _join_page(call, found, secret, 200, "")


async def join(call: Call) -> Response:
    """Keeps password and second factor, and shows the recovery codes once."""
    found, secret = await _invited(call)
    try:
        password = passwords.check_password(call.text("password", 1024), found.name)
        if call.text("again", 1024) != call.text("password", 1024):
            raise InvalidInput("again", "the two passwords are not the same")
        step = second_factor.matching_step(secret, call.text("code", 100), time.time())
        if step is None:
            raise InvalidInput("code", "this is not the code that the app shows now")
    except InvalidInput as error:
        return _join_page(call, found, secret, 400, error.violation.description)
    hashed = await passwords.hash_password(password)
    codes = second_factor.new_recovery_codes()
    sealed = call.console.key.seal(secret, f"totp/{found.name}")
    async with call.console.database.transaction() as conn:
        await staff.accept(conn, call.path("token"), hashed, sealed, step, codes)
    return call.page("joined.html.j2", name=found.name, codes=codes)


def local(path: str) -> str:
    """A path of ours to go on to; "/" for anything that a browser would take elsewhere."""
    good = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
    return path if good and "\\" not in path else "/"


async def _count(call: Call, name: str) -> float:
    """Counts this attempt; the seconds to wait before another may be made, 0 where this one may be."""
    wait = 0.0
    for who, free in ((_address(call), FREE_BY_ADDRESS), (f"name/{name}", FREE_BY_NAME)):
        async with call.console.database.transaction() as conn:
            wait = max(wait, await sessions.count_attempt(conn, who, free, LONGEST_WAIT_SECONDS))
        if wait:
            break
    return wait


def _address(call: Call) -> str:
    return f"from/{call.request.client.host if call.request.client else ''}"[:128]


def _step(call: Call, member: Member | None, code: str) -> int | str | None:
    """The time step of a code, or a recovery code as it is kept, or None; the same work for nobody."""
    sealed = member.totp_secret if member is not None else None
    secret = call.console.key.open(sealed, f"totp/{member.name}") if member and sealed else _NOBODYS_SECRET
    step = second_factor.matching_step(secret, code, time.time())
    recovery = second_factor.plain_recovery_code(code)
    return step if step is not None else recovery if len(recovery) == second_factor.CODE_LENGTH else None


async def _use_code(call: Call, member: Member, step: int | str | None) -> bool:
    if step is None or member.totp_secret is None:
        return False
    async with call.console.database.transaction() as conn:
        if isinstance(step, int):
            return await staff.use_step(conn, member.name, step)
        return await staff.use_recovery_code(conn, member.name, step)


async def _invited(call: Call) -> tuple[Invitation, str]:
    """The invitation of the path, and the second factor's secret that goes with it, the same each time."""
    if call.console.settings.oidc_issuer:
        raise FailedPrecondition("people of this house sign in with its identity provider", reason="OIDC_ONLY")
    token = call.path("token")
    async with call.console.database.transaction() as conn:
        found = await staff.invitation(conn, token)
        if found is None:
            raise Unauthenticated("this invitation was used, replaced, or is too old; ask for another")
        if found.totp_secret is not None:
            return found, call.console.key.open(found.totp_secret, f"invitation/{found.name}")
        secret = second_factor.new_secret()
        await staff.propose_secret(conn, token, call.console.key.seal(secret, f"invitation/{found.name}"))
        return found, secret


def _login_page(
    call: Call, status: int, message: str, name: str, path: str, headers: dict[str, str] | None = None
) -> Response:
    provider = bool(call.console.settings.oidc_issuer)
    response = call.page("login.html.j2", status, message=message, name=name, next=path, provider=provider)
    response.headers.update(headers or {})
    return response


def _join_page(call: Call, found: Invitation, secret: str, status: int, message: str) -> Response:
    drawn = segno.make(second_factor.enrolment_uri(secret, found.name), error="m").svg_inline(scale=4, border=4)
    spaced = " ".join(secret[i : i + 4] for i in range(0, len(secret), 4))
    return call.page("join.html.j2", status, name=found.name, message=message, qr=Markup(drawn), secret=spaced)  # noqa: S704


PAGES = (
    Page("GET", "/login", "anyone", show_login),
    Page("POST", "/login", "anyone", sign_in),
    Page("POST", "/logout", "person", sign_out),
    Page("GET", "/join/{token}", "anyone", show_invitation),
    Page("POST", "/join/{token}", "anyone", join),
)
