"""A console on a fresh database, people in it, cases to work on, and a real Chromium to do it with."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import numpy as np
import psycopg
import pyotp
import pytest
import pytest_asyncio
import uvicorn
from argon2 import PasswordHasher
from playwright.async_api import Browser, BrowserContext, Page, async_playwright
from psycopg import sql
from psycopg.conninfo import make_conninfo
from skimage import data

from services.commands.default_policy import DEFAULT_POLICY
from services.core.config import HouseSettings
from services.core.evidence import create_evidence_key
from services.core.imaging_png import write_png
from services.core.policy.review_rules import ReviewRules
from services.core.signals import Box, TextSpan
from services.core.staff import Analyst
from services.core.store import (
    claims,
    decisions,
    embedded,
    evidence_rows,
    policies,
    review_items,
    routings,
    staff,
    tenants,
)
from services.core.store.database import Database
from services.core.store.decisions import Decision
from services.core.store.review_items import NewReviewItem, Resolution
from services.core.store.roles import dsn_as
from services.core.verdicts import Reason, Verdict
from services.review.console import __main__ as process
from services.review.console import passwords, second_factor
from services.review.console.console import Console
from services.review.console.door import COOKIE, csrf_of
from services.review.console.settings import ConsoleSettings
from services.review.routing import route
from services.review.tasks import settle_decided

CHROMIUM = os.environ.get("PORTCULLIS_TEST_CHROMIUM") or shutil.which("chromium") or "/usr/bin/chromium"
ARGUMENTS = [
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    *(["--no-sandbox"] if os.geteuid() == 0 else []),
]
PASSWORD = "moss lantern kestrel 41"
PROMPT = "a quiet harbour at dawn, boats and gulls"


@dataclass
class Person:
    """Somebody of the staff, with what they know and have."""

    name: str
    totp: pyotp.TOTP
    used: int = 0

    def code(self) -> str:
        """A code that was not used before: the current step's, or the next one's."""
        step = max(self.used + 1, int(time.time()) // 30)
        self.used = step
        return str(self.totp.generate_otp(step))


class Server(uvicorn.Server):
    """Says when it has started, and leaves signals to the tests."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As it does, and says so."""
        await super().startup(sockets)
        self.ready.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Captures none."""
        yield


@dataclass
class Running:
    """A console that is served."""

    console: Console
    database: Database
    url: str
    home: Path

    async def person(self, name: str, *roles: str) -> Person:
        """Somebody who has joined."""
        secret = second_factor.new_secret()
        hashed = await passwords.hash_password(PASSWORD)
        async with self.database.transaction() as conn:
            await staff.add(conn, name, roles or ("analyst",), None, "test")
            token = await staff.invite(conn, name, 600, "test")
            await staff.accept(conn, token, hashed, self.console.key.seal(secret, f"totp/{name}"), 0, ["a" * 16])
        return Person(name, pyotp.TOTP(secret))


Start = Callable[..., Awaitable[Running]]
OpenCase = Callable[..., Awaitable[UUID]]
# What tests leave behind, and the next one must not find.
LEFT_BEHIND = (
    "staff_sessions, staff_invitations, staff_recovery_codes, staff_reveals, login_attempts, staff, audit_events,"
    " golden_cases, threshold_reports, review_events, review_comments, review_rounds, review_barred, review_pieces,"
    " review_previews, review_items,"
    " decisions, evidence, outbox, events, images,"
    " strike_reversals, strikes, standing_changes, waitlist, reports, reporters, appeals, credits,"
    " account_updates, accounts, anomalies, account_links,"
    " bank_seen, bank_hashes, bank_entries, banks, terms, term_banks, people, people_banks"
)


class Served:
    """Consoles on one database, served in this process."""

    def __init__(self, database: Database, home: Path) -> None:
        self._database = database
        self._home = home
        self._servers: list[tuple[Server, asyncio.Task[None], Console]] = []
        self._watching: list[asyncio.Task[None]] = []

    async def start(self) -> Running:
        """One more, as the environment says."""
        house, wanted = HouseSettings(), ConsoleSettings()
        wanted.check()
        console = await Console.open(house, wanted)
        listener = process._listening(wanted.bind, wanted.listening_port(house))
        server = Server(process._config(console, house))
        self._servers.append((server, asyncio.create_task(server.serve([listener])), console))
        self._watching.append(asyncio.create_task(console.policy.keep_fresh()))
        await server.ready.wait()
        return Running(console, self._database, console.origin, self._home)

    async def stop(self) -> None:
        """Ends them all."""
        for watching in self._watching:
            watching.cancel()
        for server, serving, console in self._servers:
            server.should_exit = server.force_exit = True
            await serving
            await console.database.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared(
    postgres_dsn: str, tmp_path_factory: pytest.TempPathFactory, new_port_base: Callable[[], int]
) -> AsyncIterator[tuple[Running, dict[str, str]]]:
    """One console for all tests, on a database of its own, with the environment that it was started in."""
    with psycopg.connect(make_conninfo(postgres_dsn, dbname="postgres"), autocommit=True) as conn:
        conn.execute(
            sql.SQL("CREATE DATABASE console TEMPLATE {} STRATEGY file_copy").format(sql.Identifier(embedded.DATABASE))
        )
    home = tmp_path_factory.mktemp("console")
    create_evidence_key(home / "keys" / "evidence.key")
    second_factor.create_staff_key(home / "keys" / "staff.key")
    owner = make_conninfo(postgres_dsn, dbname="console")
    environment = {
        "PORTCULLIS_HOME": str(home),
        "PORTCULLIS_DSN": dsn_as(owner, "console"),
        "PORTCULLIS_PORT_BASE": str(new_port_base()),
    }
    database = await Database.open(owner)
    async with database.transaction() as connection:
        await tenants.create_tenant(connection, "acme")
        # Each account's ladder as it is written, so that what a strike leads to is known.
        source = DEFAULT_POLICY.read_text(encoding="utf-8").replace("jitter: 0.2", "jitter: 0") + ONE_LOOK
        await policies.ensure_default(connection, source, "test")
    served = Served(database, home)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        running = await served.start()
    with pytest.MonkeyPatch.context() as patch:
        # What a guess costs is argon2's own matter; here it would only cost time.
        patch.setattr(passwords, "_hasher", PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1))
        yield running, environment
    await served.stop()
    await database.close()


@pytest_asyncio.fixture(loop_scope="session")
async def running(shared: tuple[Running, dict[str, str]]) -> Running:
    """The console, with nobody and nothing in it."""
    running, _ = shared
    async with running.database.transaction() as conn:
        await conn.execute("SET LOCAL session_replication_role = replica")  # append-only tables as well
        for table in LEFT_BEHIND.split(", "):
            await conn.execute(f"DELETE FROM {table.strip()}")
        await conn.execute("UPDATE audit_chain SET events = 0, head = %s", [bytes(32)])
        await conn.execute("DELETE FROM policy_activations WHERE activated_by <> 'test'")
    running.console.kept._results.clear()
    return running


@pytest_asyncio.fixture(loop_scope="session")
async def start(
    running: Running,
    shared: tuple[Running, dict[str, str]],
    monkeypatch: pytest.MonkeyPatch,
    new_port_base: Callable[[], int],
) -> AsyncIterator[Start]:
    """Starts other consoles on the same database, with the variables named, without their PORTCULLIS_."""
    served = Served(running.database, running.home)

    async def started(**variables: str) -> Running:
        for name, value in {**shared[1], "PORTCULLIS_PORT_BASE": str(new_port_base())}.items():
            monkeypatch.setenv(name, value)
        for name, value in variables.items():
            monkeypatch.setenv(f"PORTCULLIS_{name.upper()}", value)
        return await served.start()

    yield started
    await served.stop()


@pytest_asyncio.fixture(loop_scope="session")
async def http(running: Running) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=running.url) as client:
        yield client


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    if not shutil.which(CHROMIUM):
        pytest.skip("no Chromium: apt-get install chromium, or set PORTCULLIS_TEST_CHROMIUM to one")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        await browser.close()


NewPage = Callable[[], Awaitable[Page]]


@pytest_asyncio.fixture(loop_scope="session")
async def new_page(browser: Browser) -> AsyncIterator[NewPage]:
    """Opens pages, each of a browser profile of its own; whatever they wait for comes soon or not at all."""
    contexts: list[BrowserContext] = []

    async def opened() -> Page:
        contexts.append(await browser.new_context())
        contexts[-1].set_default_timeout(10_000)
        return await contexts[-1].new_page()

    yield opened
    for context in contexts:
        await context.close()


@pytest_asyncio.fixture(loop_scope="session")
async def page(new_page: NewPage) -> Page:
    return await new_page()


# No case is drawn for a second look by chance.
ONE_LOOK = (
    "\nreview: {queues: {default: {second_review: 0}, reports: {second_review: 0}, escalated: {second_review: 0}}}\n"
)


@pytest.fixture
def open_case(running: Running) -> OpenCase:
    """Opens a case with a prompt, and a picture where asked for, routed to its queue."""

    async def opened(
        category: str = "violence",
        *,
        prompt: str = PROMPT,
        account: str = "user-1",
        picture: bool = False,
        reasons: tuple[Reason, ...] = (),
    ) -> UUID:
        found = reasons or (_reason(category, picture=picture),)
        texts, pictures = running.console.evidence.put(prompt.encode()), None
        if picture:
            pictures = running.console.evidence.put(photograph())
        item = NewReviewItem(
            uuid4(),
            "upload" if picture else "prompt",
            Verdict.REVIEW,
            found,
            held=True,
            sealed=category == "sexual.minors",
            prompt=texts.id,
            image=pictures.id if pictures else None,
        )
        decision = Decision(uuid4(), uuid4(), "acme", account, "create", Verdict.REVIEW, found, (), "ab" * 32, (), {})
        async with running.database.transaction() as conn:
            await evidence_rows.record(conn, "acme", "prompt", texts, timedelta(days=1))
            if pictures:
                await evidence_rows.record(conn, "acme", "image", pictures, timedelta(days=1))
            await decisions.record(conn, decision, [item])
        async with running.database.transaction() as conn:
            row = await review_items.get(conn, item.item_id)
            assert row is not None
            await routings.route(conn, item.item_id, route(row, ReviewRules(), row.created_at), "review")
        return item.item_id

    return opened


async def judge(running: Running, item_id: UUID, name: str, resolution: Resolution) -> None:
    """Somebody judges a case that nobody draws for a second look, and it cannot be taken back."""
    analyst = Analyst(name, frozenset({"analyst", "sealed"}))
    claim = await running.console.desk.take(analyst, item_id)
    async with running.database.transaction() as conn:
        await claims.decide(conn, item_id, analyst, claim.token, resolution, "", 0, [], {})
    await settle_decided(running.database, item_id)


def photograph() -> bytes:
    """A harmless photograph in colour, 512 × 512, as a PNG of the house."""
    return write_png(np.ascontiguousarray(data.astronaut()))


def _reason(category: str, *, picture: bool) -> Reason:
    evidence = (Box(120, 60, 160, 180),) if picture else (TextSpan(2, 15),)
    return Reason(category, "This looks like it.", 0.81, 0.5, Verdict.REVIEW, evidence=evidence)


class Visitor:
    """A browser's way of asking, without one: keeps cookies, says where it comes from."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http
        self.cookies: dict[str, str] = {}

    async def get(self, path: str, **headers: str) -> httpx.Response:
        return await self._send("GET", path, None, headers)

    async def post(self, path: str, form: dict[str, Any] | None = None, **headers: str) -> httpx.Response:
        """A form of this session, unless the headers (with _ for -) say otherwise."""
        token = self.cookies.get(COOKIE, "")
        fields = {"csrf": csrf_of(token), **(form or {})} if token else (form or {})
        return await self._send("POST", path, fields, {"sec_fetch_site": "same-origin", "origin": "null", **headers})

    async def sign_in(self, person: Person, **changes: str) -> httpx.Response:
        form = {"name": person.name, "password": PASSWORD, "code": changes.get("code") or person.code(), **changes}
        return await self.post("/login", form)

    async def _send(
        self, method: str, path: str, form: dict[str, Any] | None, headers: dict[str, str]
    ) -> httpx.Response:
        said = {name.replace("_", "-"): value for name, value in headers.items()}
        said["cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        self._http.cookies.clear()
        answer = await self._http.request(method, path, data=form, headers=said)
        for name, value in answer.cookies.items():
            self.cookies[name] = value.strip('"')
        return answer


@pytest.fixture
def visitor(http: httpx.AsyncClient) -> Visitor:
    return Visitor(http)


async def follow(page: Page, selector: str) -> None:
    """Clicks what leads to another page and waits for it: a key pressed before then is the old one's."""
    async with page.expect_navigation():
        await page.click(selector)


async def press(page: Page, key: str) -> None:
    """A key that leads to another page."""
    async with page.expect_navigation():
        await page.keyboard.press(key)


async def sign_in(page: Page, url: str, person: Person, path: str = "/work") -> None:
    """Signs in by keyboard alone, and arrives at `path`."""
    await page.goto(url + path)
    await page.locator("input:focus").wait_for()
    await page.keyboard.type(person.name)
    await page.keyboard.press("Tab")
    await page.keyboard.type(PASSWORD)
    await page.keyboard.press("Tab")
    await page.keyboard.type(person.code())
    async with page.expect_navigation():
        await page.keyboard.press("Enter")
    assert page.url == url + path, await page.inner_text("main")
