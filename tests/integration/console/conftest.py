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
from uuid import UUID, uuid4

import httpx
import numpy as np
import pyotp
import pytest
import uvicorn
from playwright.async_api import Browser, Page, async_playwright
from skimage import data

from services.core.config import HouseSettings
from services.core.evidence import create_evidence_key
from services.core.imaging_png import write_png
from services.core.policy.review_rules import ReviewRules
from services.core.signals import Box, TextSpan
from services.core.store import decisions, evidence_rows, review_items, staff
from services.core.store.database import Database
from services.core.store.decisions import Decision
from services.core.store.review_items import NewReviewItem
from services.core.verdicts import Reason, Verdict
from services.review.console import __main__ as process
from services.review.console import passwords, second_factor
from services.review.console.console import Console
from services.review.console.settings import ConsoleSettings
from services.review.routing import route

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
        """A code that was not used before: the current step's, or a neighbour's."""
        step = max(self.used + 1, int(time.time()) // 30 - 1)
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


@pytest.fixture
async def start(governed: Database, database: str, tmp_path, monkeypatch, new_port_base) -> AsyncIterator[Start]:
    """Starts consoles with the settings named, without their prefix."""
    servers: list[tuple[Server, asyncio.Task[None], Console]] = []

    async def started(**settings: str) -> Running:
        monkeypatch.setenv("PORTCULLIS_HOME", str(tmp_path))
        monkeypatch.setenv("PORTCULLIS_DSN", database)
        monkeypatch.setenv("PORTCULLIS_PORT_BASE", str(new_port_base()))
        for name, value in settings.items():
            monkeypatch.setenv(f"PORTCULLIS_{name.upper()}", value)
        create_evidence_key(tmp_path / "keys" / "evidence.key")
        second_factor.create_staff_key(tmp_path / "keys" / "staff.key")
        house, wanted = HouseSettings(), ConsoleSettings()
        console = await Console.open(house, wanted)
        listener = process._listening(wanted.bind, wanted.listening_port(house))
        server = Server(process._config(console, house))
        servers.append((server, asyncio.create_task(server.serve([listener])), console))
        await server.ready.wait()
        return Running(console, governed, console.origin, tmp_path)

    yield started
    for server, serving, console in servers:
        server.should_exit = server.force_exit = True
        await serving
        await console.database.close()


@pytest.fixture
async def running(start: Start) -> Running:
    return await start()


@pytest.fixture
async def http(running: Running) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=running.url) as client:
        yield client


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    if not shutil.which(CHROMIUM):
        pytest.skip("no Chromium: apt-get install chromium, or set PORTCULLIS_TEST_CHROMIUM to one")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        await browser.close()


@pytest.fixture
async def page(browser: Browser) -> Page:
    return await new_page(browser)


async def new_page(browser: Browser) -> Page:
    """A page of a browser profile of its own; whatever it waits for comes soon or not at all."""
    context = await browser.new_context()
    context.set_default_timeout(8_000)
    return await context.new_page()


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
            await review_items.route(conn, item.item_id, route(row, ReviewRules(), row.created_at), "review")
        return item.item_id

    return opened


def photograph() -> bytes:
    """A harmless photograph in colour, 512 × 512, as a PNG of the house."""
    return write_png(np.ascontiguousarray(data.astronaut()))


def _reason(category: str, *, picture: bool) -> Reason:
    evidence = (Box(120, 60, 160, 180),) if picture else (TextSpan(2, 15),)
    return Reason(category, "This looks like it.", 0.81, 0.5, Verdict.REVIEW, evidence=evidence)


async def sign_in(page: Page, url: str, person: Person, path: str = "/work") -> None:
    """Signs in by keyboard alone, and arrives at `path`."""
    await page.goto(url + path)
    await page.keyboard.type(person.name)
    await page.keyboard.press("Tab")
    await page.keyboard.type(PASSWORD)
    await page.keyboard.press("Tab")
    await page.keyboard.type(person.code())
    async with page.expect_navigation():
        await page.keyboard.press("Enter")
