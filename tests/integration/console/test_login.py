"""Who comes in, how often they may try, and when they are out again."""

from __future__ import annotations

import asyncio

import pyotp
import pytest

from services.core.store import audit, staff
from services.review.console.door import COOKIE
from tests.integration.console.conftest import PASSWORD, Visitor
from tests.integration.console.test_look import picture

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def execute(running, statement, *values):
    async with running.database.transaction() as conn:
        await conn.execute(statement, values)


async def test_an_invitation_makes_an_account_and_opens_the_door(running, page):
    async with running.database.transaction() as conn:
        await staff.add(conn, "alice", ["analyst"], None, "root")
        token = await staff.invite(conn, "alice", 600, "root")
    await page.goto(f"{running.url}/join/{token}")
    await picture(page, "join")
    secret = (await page.inner_text(".key")).replace(" ", "")
    await page.locator("input:focus").wait_for()
    await page.keyboard.type(PASSWORD)
    await page.keyboard.press("Tab")
    await page.keyboard.type(PASSWORD)
    await page.keyboard.press("Tab")
    await page.keyboard.type(pyotp.TOTP(secret).now())
    async with page.expect_navigation():
        await page.keyboard.press("Enter")
    assert await page.locator(".codes li").count() == 10
    await picture(page, "joined")
    code = await page.locator(".codes li").first.inner_text()
    await page.goto(f"{running.url}/cases")
    await page.fill("#name", "alice")
    await page.fill("#password", PASSWORD)
    await page.fill("#code", code)
    async with page.expect_navigation():
        await page.keyboard.press("Enter")
    assert page.url == f"{running.url}/cases"


async def test_an_invitation_is_good_once(running, visitor):
    await running.person("alice")
    async with running.database.transaction() as conn:
        first = await staff.invite(conn, "alice", 600, "root")
        await staff.invite(conn, "alice", 600, "root")
    assert (await visitor.get(f"/join/{first}")).status_code == 401


@pytest.mark.parametrize("password", ["short", "passwordpassword", "alice-alice-alice", "123456789012"])
async def test_what_is_guessed_first_is_no_password(running, visitor, password):
    async with running.database.transaction() as conn:
        await staff.add(conn, "alice", ["analyst"], None, "root")
        token = await staff.invite(conn, "alice", 600, "root")
    answer = await visitor.post(f"/join/{token}", {"password": password, "again": password, "code": "000000"})
    assert answer.status_code == 400
    assert "random words" in answer.text


async def test_wrong_name_password_and_code_are_answered_alike(running, visitor):
    alice = await running.person("alice")
    answers = [
        await visitor.sign_in(alice, name="nobody"),
        await visitor.sign_in(alice, password="moss lantern kestrel 42"),
        await visitor.sign_in(alice, code="000000"),
    ]
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.text.replace("nobody", "alice") for answer in answers}) == 1


async def test_a_code_is_good_once(running, visitor):
    alice = await running.person("alice")
    code = alice.code()
    assert (await visitor.sign_in(alice, code=code)).status_code == 303
    assert (await visitor.sign_in(alice, code=code)).status_code == 401


async def test_a_recovery_code_is_good_once(running, visitor):
    alice = await running.person("alice")
    assert (await visitor.sign_in(alice, code="aaaa-aaaa-AAAA-aaaa")).status_code == 303
    assert (await visitor.sign_in(alice, code="aaaa-aaaa-aaaa-aaaa")).status_code == 401


async def test_after_some_failures_even_the_right_password_must_wait(running, visitor):
    alice = await running.person("alice")
    for _ in range(5):
        await visitor.sign_in(alice, password="moss lantern kestrel 42", code="000000")
    answer = await visitor.sign_in(alice)
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) >= 1


async def test_attempts_at_once_are_each_counted(running, http):
    alice = await running.person("alice")
    tries = [Visitor(http).sign_in(alice, password="moss lantern kestrel 42", code="000000") for _ in range(12)]
    codes = [answer.status_code for answer in await asyncio.gather(*tries)]
    assert codes.count(401) == 5


async def test_a_login_begins_another_session_and_ends_the_one_before(running, visitor):
    alice = await running.person("alice")
    await visitor.sign_in(alice)
    before = visitor.cookies[COOKIE]
    await visitor.sign_in(alice)
    assert visitor.cookies[COOKIE] != before
    visitor.cookies[COOKIE] = before
    assert (await visitor.get("/work")).headers["location"].startswith("/login")


async def test_signing_out_ends_the_session_on_the_server(running, visitor):
    await visitor.sign_in(await running.person("alice"))
    kept = dict(visitor.cookies)
    await visitor.post("/logout")
    visitor.cookies = kept
    assert (await visitor.get("/work")).status_code == 303


@pytest.mark.parametrize(
    "ending",
    [
        "UPDATE staff_sessions SET seen_at = now() - interval '31 minutes'",
        "UPDATE staff_sessions SET created_at = now() - interval '13 hours'",
        "UPDATE staff SET disabled_at = now()",
    ],
)
async def test_a_session_ends_by_itself(running, visitor, ending):
    await visitor.sign_in(await running.person("alice"))
    await execute(running, ending)
    assert (await visitor.get("/work")).headers["location"] == "/login?next=%2Fwork"


async def test_a_case_that_lies_open_does_not_keep_a_session_alive(running, visitor, open_case):
    item_id = await open_case()
    await visitor.sign_in(await running.person("alice"))
    await visitor.post(f"/cases/{item_id}/take")
    await execute(running, "UPDATE staff_sessions SET seen_at = now() - interval '20 minutes'")
    await visitor.post(f"/cases/{item_id}/renew")
    async with running.database.transaction() as conn:
        cursor = await conn.execute("SELECT FROM staff_sessions WHERE seen_at > now() - interval '19 minutes'")
        assert await cursor.fetchall() == []


async def test_other_roles_take_another_session(running, visitor):
    await visitor.sign_in(await running.person("alice"))
    async with running.database.transaction() as conn:
        await staff.set_roles(conn, "alice", ["lead"], "root")
    assert (await visitor.get("/work")).status_code == 303


@pytest.mark.parametrize("elsewhere", ["//evil.example", "https://evil.example", "/\\evil.example", "/a\r\nb"])
async def test_a_login_leads_nowhere_else(running, visitor, elsewhere):
    answer = await visitor.sign_in(await running.person("alice"), next=elsewhere)
    assert answer.headers["location"] == "/"


async def test_the_cookie_is_out_of_reach(running, visitor):
    answer = await visitor.sign_in(await running.person("alice"))
    flags = answer.headers["set-cookie"].lower()
    assert flags.startswith("__host-portcullis=")
    assert all(flag in flags for flag in ("httponly", "secure", "samesite=strict", "path=/"))
    assert "domain" not in flags


async def test_secrets_are_not_in_the_books_in_plain(running, visitor):
    await visitor.sign_in(await running.person("alice"))
    async with running.database.transaction() as conn:
        row = await (
            await conn.execute("SELECT staff::text || staff_sessions::text FROM staff, staff_sessions")
        ).fetchone()
    assert "$argon2id$" in row[0]
    assert visitor.cookies[COOKIE] not in row[0]


async def test_what_changes_the_staff_is_audited(running):
    await running.person("alice")
    async with running.database.transaction() as conn:
        await staff.set_roles(conn, "alice", ["lead"], "root")
        await staff.disable(conn, "alice", "root")
        await staff.reset(conn, "alice", "root")
        actions = [event.action for event in await audit.latest(conn, 10)]
    assert actions == ["staff.reset", "staff.disable", "staff.roles", "staff.join", "staff.invite", "staff.add"]
