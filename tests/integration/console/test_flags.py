"""Flags: what the watch found, until a person has seen it, and what accounts have to do with each other."""

from __future__ import annotations

import pytest

from services.core.pseudonyms import Pseudonyms
from services.core.store import account_links
from tests.integration.console import scenes
from tests.integration.console.conftest import follow, press, sign_in

pytestmark = pytest.mark.asyncio(loop_scope="session")

WHY = "9 times as many requests in an hour as it usually makes."


async def audited(running, action):
    async with running.database.transaction() as conn:
        return await scenes.audited(conn, action)


async def test_a_flag_is_there_until_a_person_has_seen_it(running, page):
    await scenes.flagged(running, WHY)
    await sign_in(page, running.url, await running.person("alice", "senior"), "/flags")
    assert WHY in await page.inner_text("section[aria-labelledby=unseen]")
    await page.focus("button[aria-label^=Seen]")
    await press(page, "Enter")
    assert "None" in await page.inner_text("section[aria-labelledby=unseen]")
    assert "seen by analyst/alice" in await page.inner_text("section[aria-labelledby=seen]")
    await follow(page, "text=user-1")
    assert WHY in await page.inner_text("section[aria-labelledby=flags]")
    assert [said["who"] for said in await audited(running, "anomaly.seen")] == ["analyst/alice"]


async def test_a_sealed_flag_is_for_its_own_people_and_not_in_the_audit(running, visitor):
    flag = await scenes.flagged(running, WHY, sealed=True)
    await visitor.sign_in(await running.person("alice", "senior"))
    for path in ("/flags", "/accounts/acme/user-1"):
        assert WHY not in (await visitor.get(path)).text
    refused = await visitor.post(f"/flags/{flag}/seen")
    unknown = await visitor.post("/flags/00000000-0000-4000-8000-000000000000/seen")
    visitor.cookies.clear()
    await visitor.sign_in(await running.person("sam", "senior", "sealed"))
    assert WHY in (await visitor.get("/flags")).text
    assert (refused.status_code, refused.text) == (404, unknown.text)
    assert (await visitor.post(f"/flags/{flag}/seen")).status_code == 303
    assert await audited(running, "anomaly.seen") == []


async def test_flags_are_for_those_who_may_see_accounts(running, visitor):
    flag = await scenes.flagged(running, WHY)
    await visitor.sign_in(await running.person("eve", "analyst", "auditor"))
    assert (await visitor.get("/flags")).status_code == 403
    assert (await visitor.post(f"/flags/{flag}/seen")).status_code == 403


async def test_with_how_many_an_account_shares_something_is_told_and_never_what(running, visitor):
    key = Pseudonyms(bytes(32), "links")
    device, means = b"the same device.", b"the same means.."
    async with running.database.transaction() as conn:
        for account in ("user-1", "user-2", "user-3"):
            await account_links.add(conn, key, "acme", account, [device])
        await account_links.add(conn, key, "acme", "user-2", [means])
    await scenes.strike(running, 0.1)
    await visitor.sign_in(await running.person("alice", "senior"))
    shown = (await visitor.get("/accounts/acme/user-1")).text
    assert "with 2 other accounts" in shown
    assert key.of("acme", device.hex()).hex()[:16] not in shown
