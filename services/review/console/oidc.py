"""Login by an OpenID Connect provider: authorization code with PKCE (RFC 7636), state and nonce.

Who they are is the provider's word, proved by a signed ID token; that they may come in, and as what, is ours: a person
must have been added to the staff with the email that the provider has verified. At the first login the provider's own
id of them ("sub") is bound to the person, and counts from then on.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote_plus

import httpx
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from starlette.responses import Response

from services.core.errors import NotFound, PermissionDenied, PortcullisError, Unauthenticated, Unavailable
from services.core.staff import ROLES, Role
from services.core.store import staff
from services.core.store.database import Connection
from services.core.store.staff import Member
from services.review.console.door import Call, Page
from services.review.console.login import enter, local
from services.review.console.rendering import render
from services.review.console.settings import is_private

COOKIE = "__Host-portcullis-oidc"
LOGIN_SECONDS = 600
PROVIDER_SECONDS = 10.0
LEEWAY_SECONDS = 60
ALGORITHMS = ["RS256", "PS256", "ES256", "EdDSA"]  # signed with a key that we do not have; never "none", never shared
CALLBACK = "/login/callback"
_PURPOSE = "oidc login"


async def begin(call: Call) -> Response:
    """Sends the browser to the provider, with what proves its return to be of this login in a sealed cookie."""
    provider = await _provider(call)
    state, nonce, verifier = (secrets.token_urlsafe(48) for _ in range(3))
    url = httpx.URL(provider["authorization_endpoint"]).copy_merge_params(
        {
            "response_type": "code",
            "client_id": call.console.settings.oidc_client_id,
            "redirect_uri": call.console.origin + CALLBACK,
            "scope": "openid email",
            "state": state,
            "nonce": nonce,
            "code_challenge": _challenge(verifier),
            "code_challenge_method": "S256",
        }
    )
    login = {"state": state, "nonce": nonce, "verifier": verifier, "next": local(call.text("next")), "at": time.time()}
    sealed = call.console.key.seal(json.dumps(login), _PURPOSE).hex()
    # Not a redirect: a browser lets `form-action 'self'` forbid one to elsewhere. Lax, for the way back is from there.
    response = Response(render("again.html.j2", call=None, path=str(url)), media_type="text/html; charset=utf-8")
    response.set_cookie(COOKIE, sealed, LOGIN_SECONDS, secure=True, httponly=True, samesite="lax")
    return response


async def end(call: Call) -> Response:
    """Begins a session for whom the provider vouches for; raises Unauthenticated, PermissionDenied."""
    login = _login(call)
    if not secrets.compare_digest(call.query("state").encode(), str(login["state"]).encode()):
        raise Unauthenticated("this is not the login that was begun; sign in again")
    claims = await _claims(call, login)
    async with call.console.database.transaction() as conn:
        member = await _member(conn, call, claims)
    entered = await enter(call, member.name, str(login["next"]))
    # The session's cookie is SameSite=Strict, and this way began at the provider: the next page must be asked by ours.
    page = render("again.html.j2", call=None, path=login["next"])
    response = Response(page, media_type="text/html; charset=utf-8")
    response.raw_headers.extend(header for header in entered.raw_headers if header[0] == b"set-cookie")
    response.delete_cookie(COOKIE, secure=True, httponly=True, samesite="lax")
    return response


def _login(call: Call) -> Mapping[str, Any]:
    try:
        sealed = bytes.fromhex(call.request.cookies.get(COOKIE, ""))
        login: dict[str, Any] = json.loads(call.console.key.open(sealed, _PURPOSE))
    except (ValueError, PortcullisError) as error:
        raise Unauthenticated("this login is too old, or of another browser; sign in again") from error
    if time.time() - login["at"] > LOGIN_SECONDS:
        raise Unauthenticated("this login is too old; sign in again")
    return login


async def _claims(call: Call, login: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the ID token says, after OpenID Connect Core 3.1.3.7."""
    settings = call.console.settings
    provider = await _provider(call)
    try:
        token = await _token(call, provider["token_endpoint"], str(login["verifier"]))
        keys = _keys(await _read(call, provider["jwks_uri"]))
        decoded = jwt.decode(token["id_token"], keys, algorithms=ALGORITHMS)
        jwt.JWTClaimsRegistry(
            leeway=LEEWAY_SECONDS,
            iss={"essential": True, "value": settings.oidc_issuer},
            aud={"essential": True, "value": settings.oidc_client_id},
            exp={"essential": True},
            iat={"essential": True},
            sub={"essential": True},
            nonce={"essential": True, "value": login["nonce"]},
        ).validate(decoded.claims)
    except (JoseError, KeyError, TypeError, ValueError) as error:
        raise Unauthenticated("your identity provider did not vouch for you; sign in again") from error
    claims: Mapping[str, Any] = decoded.claims
    if claims.get("azp", settings.oidc_client_id) != settings.oidc_client_id:
        raise Unauthenticated("your identity provider vouched for you to somebody else; sign in again")
    return claims


async def _token(call: Call, endpoint: str, verifier: str) -> Any:
    """Gives the code for a token (RFC 6749, 4.1.3); raises Unavailable where the provider is away or broken."""
    settings = call.console.settings
    secret = settings.oidc_client_secret.get_secret_value()
    form = {
        "grant_type": "authorization_code",
        "code": call.query("code", 2000),
        "redirect_uri": call.console.origin + CALLBACK,
        "client_id": settings.oidc_client_id,
        "code_verifier": verifier,
    }
    auth = (
        httpx.BasicAuth(quote_plus(settings.oidc_client_id), quote_plus(secret)) if secret else httpx.USE_CLIENT_DEFAULT
    )
    try:
        async with _web(call) as client:
            answer = await client.post(endpoint, data=form, auth=auth, headers={"Accept": "application/json"})
    except httpx.HTTPError as error:
        raise _away() from error
    if answer.is_server_error:
        raise _away()
    return answer.json()


def _challenge(verifier: str) -> str:
    """RFC 7636's S256."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")


async def _member(conn: Connection, call: Call, claims: Mapping[str, Any]) -> Member:
    subject = f"{claims['iss']} {claims['sub']}"
    member = await staff.by_subject(conn, subject)
    email = claims.get("email")
    if member is None and isinstance(email, str) and claims.get("email_verified") is True:
        member = await staff.by_email(conn, email)
        if member is not None:
            await staff.bind_subject(conn, member.name, subject)
    if member is None or member.disabled_at is not None:
        raise PermissionDenied("you are not of this console's staff; ask an admin", reason="STAFF_UNKNOWN")
    if call.console.settings.oidc_roles_claim:
        roles = _roles(call, claims)
        if not roles:
            raise PermissionDenied("your identity provider gives you no role here; ask an admin", reason="ROLE_NEEDED")
        if set(roles) != set(member.roles):
            await staff.set_roles(conn, member.name, roles, "identity provider")
    return member


def _roles(call: Call, claims: Mapping[str, Any]) -> list[Role]:
    said = claims.get(call.console.settings.oidc_roles_claim)
    values = [said] if isinstance(said, str) else said if isinstance(said, list) else []
    given = {role for value in values for role in call.console.settings.oidc_roles.get(str(value), [])}
    return [role for role in ROLES if role in given]


async def _provider(call: Call) -> Mapping[str, str]:
    """The provider's addresses, from its discovery document, which must be its own."""
    issuer = call.console.settings.oidc_issuer
    if not issuer:
        raise NotFound("there is no such page", reason="PAGE_UNKNOWN")
    document = await _read(call, issuer.rstrip("/") + "/.well-known/openid-configuration")
    wanted = ("authorization_endpoint", "token_endpoint", "jwks_uri")
    if document.get("issuer") != issuer or not all(is_private(str(document.get(name))) for name in wanted):
        raise Unavailable("the identity provider's description of itself is not right", reason="OIDC_PROVIDER")
    return {name: str(document[name]) for name in wanted}


async def _read(call: Call, url: str) -> dict[str, Any]:
    try:
        async with _web(call) as client:
            answer = (await client.get(url)).raise_for_status().json()
    except (httpx.HTTPError, ValueError) as error:
        raise _away() from error
    if not isinstance(answer, dict):
        raise _away()
    return answer


def _keys(document: Any) -> KeySet:
    return KeySet.import_key_set(document)


def _web(call: Call) -> httpx.AsyncClient:
    return httpx.AsyncClient(verify=call.console.tls_to_provider, timeout=PROVIDER_SECONDS)


def _away() -> Unavailable:
    return Unavailable("the identity provider does not answer; try again in a moment", reason="OIDC_PROVIDER")


PAGES = (
    Page("POST", "/login/provider", "anyone", begin),
    Page("GET", CALLBACK, "anyone", end),
)
