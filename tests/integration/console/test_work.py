"""A person's work, in a real browser."""

from __future__ import annotations

import pytest

from services.core.store import review_events, review_items
from tests.integration.console.conftest import sign_in

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_the_whole_flow_by_keyboard_alone(running, page, open_case):
    first, second = await open_case(picture=True, account="user-1"), await open_case(account="user-2")
    alice = await running.person("alice")
    await sign_in(page, running.url, alice)
    async with page.expect_navigation():
        await page.keyboard.press("n")
    assert str(first) in page.url
    async with page.expect_response("**/reveal"):
        await page.keyboard.press("v")
    await page.wait_for_selector("canvas:not([hidden])")
    async with page.expect_navigation():
        await page.keyboard.press("r")
    assert str(second) in page.url
    async with page.expect_navigation():
        await page.keyboard.press("z")
    assert str(first) in page.url
    async with page.expect_navigation():
        await page.keyboard.press("u")
    assert str(second) in page.url
    async with running.database.transaction() as conn:
        item = await review_items.get(conn, first)
        events = await review_events.of_item(conn, first)
    assert (item.resolution, item.decided_by) == ("uphold", "analyst/alice")
    assert [e.kind for e in events] == []
