"""What the door keeps out: other sites, other hosts, other roles, too much."""

from __future__ import annotations

import asyncio
import socket
from urllib.parse import urlsplit

import pytest
import pytest_asyncio

from services.core.errors import ConfigurationError
from services.review.console import __main__ as process
from services.review.console.app import PAGES
from services.review.console.door import Page, routes
from services.review.console.login import show_login

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(loop_scope="session")
async def alice(running, visitor):
    person = await running.person("alice")
    await visitor.sign_in(person)
    return visitor


@pytest.mark.parametrize(
    "headers",
    [
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
        {"sec_fetch_site": "none"},
        {"origin": "https://evil.example"},
        {"origin": "https://evil.example", "sec_fetch_site": "same-origin"},
    ],
)
async def test_a_form_of_another_site_is_refused(alice, headers):
    assert (await alice.post("/work/next", **headers)).status_code == 403


@pytest.mark.parametrize("token", ["", "x", "é"])
async def test_a_form_without_the_sessions_token_is_refused(alice, token):
    assert (await alice.post("/work/next", {"csrf": token})).status_code == 403


async def test_a_login_from_another_site_is_refused(running, visitor):
    person = await running.person("alice")
    form = {"name": person.name, "password": "x", "code": "1"}
    assert (await visitor.post("/login", form, sec_fetch_site="cross-site")).status_code == 403


async def test_another_host_is_not_this_one(visitor):
    assert (await visitor.get("/login", host="rebound.example")).status_code == 421


@pytest.mark.parametrize("path", ["/login", "/work", "/nothing", "/static/console.css", "/cases/not-a-uuid"])
async def test_every_answer_wears_its_armour(alice, path):
    headers = (await alice.get(path)).headers
    assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'; style-src 'self';")
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert "server" not in headers


async def test_pages_are_not_kept_and_files_are(alice):
    assert (await alice.get("/work")).headers["cache-control"] == "no-store"
    assert "immutable" in (await alice.get("/static/console.css")).headers["cache-control"]


async def test_the_page_of_another_role_is_closed_and_not_in_the_menu(running, visitor):
    await visitor.sign_in(await running.person("eve", "auditor"))
    assert (await visitor.get("/work")).status_code == 403
    assert 'href="/work"' not in (await visitor.get("/me")).text


async def test_nothing_but_the_way_in_is_open_to_nobody():
    assert {urlsplit(page.path).path for page in PAGES if page.needs == "anyone"} == {
        "/health",
        "/static/{name}",
        "/login",
        "/login/provider",
        "/login/callback",
        "/join/{token}",
    }


async def test_a_page_that_nobody_may_see_cannot_be_made():
    with pytest.raises(ConfigurationError, match="needs ''"):
        routes(None, [Page("GET", "/x", "", show_login)])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        ("a=" + "b" * 70_000, "application/x-www-form-urlencoded"),
        ("&".join(f"f{i}=1" for i in range(300)), "application/x-www-form-urlencoded"),
        ("a=%ff", "application/x-www-form-urlencoded"),
        ("{}", "application/json"),
        ("--x\r\n\r\n--x--", "multipart/form-data; boundary=x"),
    ],
)
async def test_too_much_and_something_else_is_refused(http, running, content, kind):
    headers = {"content-type": kind, "sec-fetch-site": "same-origin"}
    answer = await http.post("/login", content=content, headers=headers)
    assert answer.status_code == 400


async def test_a_fault_says_nothing_of_the_inside(alice, monkeypatch):
    async def broken(*_args):
        raise RuntimeError("the secret of the inside")

    monkeypatch.setattr("services.core.store.queues.waiting", broken)
    answer = await alice.get("/work")
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert "content-security-policy" in answer.headers


async def test_a_link_from_elsewhere_is_asked_for_again_from_here(visitor):
    answer = await visitor.get("/work", sec_fetch_site="cross-site")
    assert answer.status_code == 200
    assert 'http-equiv="refresh" content="0; url=/work"' in answer.text


async def test_a_script_is_told_in_json(visitor):
    answer = await visitor.get("/work", accept="application/json")
    assert (answer.status_code, answer.json()["reason"]) == (401, "UNAUTHENTICATED")


async def test_health_is_known_to_whoever_asks(visitor):
    assert (await visitor.get("/health", host="10.1.2.3")).text == "serving\n"


async def test_no_answer_waits_for_the_browsers_acknowledgement():
    sent_at_once = asyncio.get_running_loop().create_future()

    class Seen(asyncio.Protocol):
        def connection_made(self, transport):
            connection = transport.get_extra_info("socket")
            sent_at_once.set_result(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            transport.close()

    with process._listening("127.0.0.1", 0) as listener:
        async with await asyncio.get_running_loop().create_server(Seen, sock=listener):
            _, writer = await asyncio.open_connection(*listener.getsockname())
            assert await sent_at_once
            writer.close()
