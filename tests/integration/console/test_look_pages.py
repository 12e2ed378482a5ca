"""What the pages about accounts, complaints and banks look like: to be read and reached by everybody, at any size."""

from __future__ import annotations

import pytest

from services.core.store import waitlist
from tests.integration.console import scenes
from tests.integration.console.conftest import sign_in
from tests.integration.console.test_look import CONTRAST, UNNAMED, WIDE, picture

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_every_page_can_be_read_in_both_schemes_and_at_twice_the_size(running, page):
    pages = await signed_in(running, page)
    for name, path in pages.items():
        await page.emulate_media(color_scheme="light")
        await page.set_viewport_size({"width": 1280, "height": 800})
        await page.goto(running.url + path)
        assert await page.evaluate(CONTRAST) == [], name
        assert await page.evaluate(UNNAMED) == [], name
        assert [await page.locator(mark).count() for mark in ("main", "h1")] == [1, 1], name
        await picture(page, name)
        await page.emulate_media(color_scheme="dark")
        assert await page.evaluate(CONTRAST) == [], name
        await page.set_viewport_size({"width": 640, "height": 400})  # 1280 × 800 at 200%
        assert await page.evaluate(WIDE) <= 0, name


async def test_every_step_with_an_account_can_be_reached_by_tab(running, page):
    await scenes.suspended(running)
    await sign_in(page, running.url, await running.person("alice", "senior"), "/accounts/acme/user-1")
    reached = set()
    for _ in range(50):
        await page.keyboard.press("Tab")
        reached.add(await page.evaluate("document.activeElement.textContent.trim()"))
        outline = await page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none" or await page.evaluate("document.activeElement === document.body")
    assert reached >= {"Warn", "Cool", "Hold", "Suspend", "Ban, without end", "Restore", "Change tier", "Take back"}


async def signed_in(running, page) -> dict[str, str]:
    """Somebody who holds a report, and the pages by name."""
    report = await scenes.reported(running, account="user-4711")
    decision = await scenes.strike(running, 2.0, "hate", account="user-4711")
    appeal = await scenes.appealed(running, decision, "It is a scene of a film that I am writing.", account="user-4711")
    suspension = await scenes.suspended(running, "user-4711")
    await scenes.flagged(running, "9 times as many requests in an hour as it usually makes.", account="user-4711")
    await scenes.reported(running, "It frightens my children.", account="user-12")
    await scenes.strike(running, 0.1, account="user-99")
    await scenes.fill_banks(running, "posters of spring")
    async with running.database.transaction() as conn:
        await waitlist.join(conn, "acme", "user-99")
    await sign_in(page, running.url, await running.person("alice", "senior", "lead", "policy"))
    for item_id in (report, appeal, suspension):
        await page.goto(f"{running.url}/cases/{item_id}")
        async with page.expect_navigation():
            await page.keyboard.press("n")
    return {
        "account": "/accounts/acme/user-4711",
        "report": f"/cases/{report}",
        "appeal": f"/cases/{appeal}",
        "suspension": f"/cases/{suspension}",
        "banks": "/banks/images/*/leaked",
        "banks-list": "/banks",
        "bank-words": "/banks/words/acme/brand",
        "bank-people": "/banks/people/*/politicians",
        "accounts": "/accounts",
        "flags": "/flags",
        "waitlist": "/waitlist?tenant=acme",
        "reports": "/reports",
        "appeals": "/appeals",
    }
