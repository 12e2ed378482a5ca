"""Login by a provider of identities, against a small real one: it signs its tokens and checks the proof of the code."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, quote_plus, urlencode, urlsplit

import httpx
import pytest
import pytest_asyncio
import uvicorn
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey
from playwright.async_api import expect
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from services.core.store import staff
from services.review.console import __main__ as process
from services.review.console.door import COOKIE
from tests.integration.console.conftest import Server, Visitor

pytestmark = pytest.mark.asyncio(loop_scope="session")

ALICE = {"sub": "42", "email": "Alice@example.com", "email_verified": True}
CLIENT, SECRET = "console", "a secret between the two"


@dataclass
class Provider:
    """OpenID Connect's authorization code flow with PKCE: who signs in is set by the test."""

    issuer: str
    claims: dict[str, Any] = field(
        default_factory=lambda: {"sub": "42", "email": "Alice@example.com", "email_verified": True}
    )
    key: RSAKey = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "one", "use": "sig"}))
    published: RSAKey | None = None
    codes: dict[str, dict[str, str]] = field(default_factory=dict)

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/.well-known/openid-configuration", self.discovery),
                Route("/authorize", self.authorize),
                Route("/token", self.token, methods=["POST"]),
                Route("/keys", self.keys),
            ]
        )

    async def discovery(self, request: Request) -> Response:
        places = {"authorization_endpoint": "authorize", "token_endpoint": "token", "jwks_uri": "keys"}
        return JSONResponse({"issuer": self.issuer, **{name: f"{self.issuer}/{path}" for name, path in places.items()}})

    async def authorize(self, request: Request) -> Response:
        """Knows the person already and sends them back with a code."""
        query = dict(request.query_params)
        assert query["code_challenge_method"] == "S256"
        code = f"code-{len(self.codes)}"
        self.codes[code] = query
        return RedirectResponse(f"{query['redirect_uri']}?{urlencode({'code': code, 'state': query['state']})}")

    async def token(self, request: Request) -> Response:
        form = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
        asked = self.codes.pop(form["code"], {"code_challenge": ""})
        challenge = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest()).decode()
        basic = base64.b64decode(request.headers["authorization"].removeprefix("Basic ")).decode()
        if challenge.rstrip("=") != asked["code_challenge"] or basic != f"{CLIENT}:{quote_plus(SECRET)}":
            return JSONResponse({"error": "invalid_grant"}, 400)
        now = int(time.time())
        own = {"iss": self.issuer, "aud": CLIENT, "iat": now, "exp": now + 60, "nonce": asked["nonce"]}
        signed = jwt.encode({"alg": "RS256", "kid": "one"}, {**own, **self.claims}, self.key)
        return JSONResponse({"access_token": "x", "token_type": "Bearer", "id_token": signed})

    async def keys(self, request: Request) -> Response:
        return JSONResponse(KeySet([RSAKey.import_key((self.published or self.key).as_dict(private=False))]).as_dict())


@pytest_asyncio.fixture(loop_scope="session")
async def provider(new_port_base) -> AsyncIterator[Provider]:
    listener = process._listening("127.0.0.1", new_port_base() + 9)
    provider = Provider(f"http://127.0.0.1:{listener.getsockname()[1]}")
    server = Server(uvicorn.Config(provider.app(), lifespan="off", log_config=None, access_log=False))
    serving = asyncio.create_task(server.serve([listener]))
    await server.ready.wait()
    yield provider
    server.should_exit = server.force_exit = True
    await serving


@pytest_asyncio.fixture(loop_scope="session")
async def console(start, provider):
    running = await start(
        console_oidc_issuer=provider.issuer, console_oidc_client_id=CLIENT, console_oidc_client_secret=SECRET
    )
    async with running.database.transaction() as conn:
        await staff.add(conn, "alice", ["analyst"], "alice@example.com", "root")
    return running


@pytest_asyncio.fixture(loop_scope="session")
async def visitor(console) -> AsyncIterator[Visitor]:
    async with httpx.AsyncClient(base_url=console.url) as client:
        yield Visitor(client)


async def go(visitor: Visitor, **changes: str):
    """The whole way: out to the provider, and back with what it says; `changes` are made to the way back."""
    begun = await visitor.post("/login/provider", {"next": "/work"})
    out = re.search(r'content="0; url=([^"]+)"', begun.text).group(1).replace("&amp;", "&")
    async with httpx.AsyncClient() as client:
        back = (await client.get(out)).headers["location"]
    query = {**{name: values[0] for name, values in parse_qs(urlsplit(back).query).items()}, **changes}
    return await visitor.get(f"/login/callback?{urlencode(query)}", sec_fetch_site="cross-site")


async def test_in_a_browser(console, page):
    await page.goto(f"{console.url}/work")
    await expect(page.locator("button[autofocus]")).to_be_focused()
    await page.keyboard.press("Enter")
    await page.wait_for_url(f"{console.url}/work")
    assert "What waits for you" in await page.inner_text("main")


async def test_whom_the_provider_vouches_for_comes_in(console, visitor):
    answer = await go(visitor)
    assert answer.status_code == 200
    assert "url=/work" in answer.text
    assert (await visitor.get("/work")).status_code == 200


async def test_from_then_on_the_providers_own_id_counts(console, visitor, provider):
    await go(visitor)
    provider.claims = {"sub": "42", "email": "married@example.com", "email_verified": True}
    assert (await go(visitor)).status_code == 200
    provider.claims = {"sub": "43", "email": "alice@example.com", "email_verified": True}
    assert (await go(visitor)).status_code == 403


@pytest.mark.parametrize(
    "claims",
    [
        {"sub": "42", "email": "alice@example.com"},
        {"sub": "42", "email": "alice@example.com", "email_verified": "true"},
        {"sub": "42", "email": "mallory@example.com", "email_verified": True},
        {"sub": "42"},
    ],
)
async def test_a_stranger_stays_outside(console, visitor, provider, claims):
    provider.claims = claims
    assert (await go(visitor)).status_code == 403
    assert COOKIE not in visitor.cookies


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "another client"},
        {"iss": "https://evil.example"},
        {"nonce": "of another login"},
        {"exp": 1},
        {"azp": "another client"},
    ],
)
async def test_a_token_for_somebody_or_something_else_is_refused(console, visitor, provider, claims):
    provider.claims = {**provider.claims, **claims}
    assert (await go(visitor)).status_code == 401
    assert COOKIE not in visitor.cookies


async def test_a_token_of_another_key_is_refused(console, visitor, provider):
    provider.published = RSAKey.generate_key(2048, {"kid": "one", "use": "sig"})
    assert (await go(visitor)).status_code == 401
    assert COOKIE not in visitor.cookies


@pytest.mark.parametrize("changes", [{"state": "of another login"}, {"state": ""}, {"code": "never given"}])
async def test_a_way_back_that_was_not_begun_is_refused(console, visitor, changes):
    assert (await go(visitor, **changes)).status_code == 401
    assert COOKIE not in visitor.cookies


async def test_a_way_back_in_another_browser_is_refused(console, visitor):
    visitor.cookies.clear()
    assert (await visitor.get("/login/callback?state=x&code=y")).status_code == 401


async def test_roles_are_ours_unless_a_claim_is_named(start, provider, visitor, console):
    other = await start(
        console_oidc_issuer=provider.issuer,
        console_oidc_client_id=CLIENT,
        console_oidc_client_secret=SECRET,
        console_oidc_roles_claim="groups",
        console_oidc_roles=json.dumps({"trust-leads": ["lead"]}),
    )
    provider.claims = {**provider.claims, "groups": ["trust-leads", "everybody"]}
    async with httpx.AsyncClient(base_url=other.url) as client:
        assert (await go(Visitor(client))).status_code == 200
        provider.claims = {**provider.claims, "groups": ["everybody"]}
        assert (await go(Visitor(client))).status_code == 403
    async with console.database.transaction() as conn:
        member = await staff.get(conn, "alice")
    assert member.roles == ("lead",)


async def test_with_a_provider_there_are_no_passwords(console, visitor):
    assert (await visitor.post("/login", {"name": "alice", "password": "x", "code": "y"})).status_code == 409
    assert "password" not in (await visitor.get("/login")).text.lower()


async def test_a_provider_that_is_away_is_told(console, visitor, provider):
    console.console.settings.oidc_issuer = "http://127.0.0.1:9"
    try:
        assert (await visitor.post("/login/provider", {"next": "/"})).status_code == 503
    finally:
        console.console.settings.oidc_issuer = provider.issuer
