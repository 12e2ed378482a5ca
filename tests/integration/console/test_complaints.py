"""Reports, appeals and suspensions: listed by when they are due, shown as what they are, decided in their own words."""

from __future__ import annotations

import re

import pytest

from services.core.store import reports, review_items, rounds
from services.core.store.review_items import ReviewItem
from services.review.console import complaints
from services.review.tasks import settle_decided
from tests.integration.console import scenes
from tests.integration.console.conftest import follow, press, sign_in

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def item_of(running, item_id) -> ReviewItem:
    async with running.database.transaction() as conn:
        item = await review_items.get(conn, item_id)
    assert item is not None
    return item


async def settle(running, item_id) -> None:
    async with running.database.transaction() as conn:
        await conn.execute("UPDATE review_items SET effective_at = now() WHERE item_id = %s", [item_id])
    assert await settle_decided(running.database, item_id)


async def buttons(page) -> list[str]:
    return [text.split("\n")[0].strip() for text in await page.locator("#steps button[name]").all_inner_texts()]


async def test_a_report_is_read_and_the_picture_withdrawn_by_keyboard_alone(running, page):
    item_id = await scenes.reported(running)
    await sign_in(page, running.url, await running.person("alice"), "/reports")
    assert str(item_id)[:8] in await page.inner_text("main")
    await page.goto(f"{running.url}/cases/{item_id}")
    assert scenes.SAID not in await page.inner_text("main")
    await press(page, "n")
    shown = await page.inner_text("main")
    async with running.database.transaction() as conn:
        case = await reports.case(conn, await item_of(running, item_id))
    assert case is not None
    assert scenes.SAID in shown
    assert str(case.image.image_id) in shown
    assert str(case.image.decision_id) in shown
    assert str(case.children[0].image_id) in shown
    assert "altered" in shown
    assert await buttons(page) == ["Keep picture r", "Withdraw picture u"]
    await press(page, "u")
    await settle(running, item_id)
    assert (await item_of(running, item_id)).resolution == "uphold"
    async with running.database.transaction() as conn:
        cursor = await conn.execute("SELECT count(*) FROM outbox WHERE topic = 'review.withdraw_image'")
        assert await cursor.fetchone() == (1,)


async def test_a_statement_that_cannot_be_read_is_told(running, visitor):
    item_id = await scenes.reported(running)
    for path in running.home.glob("evidence/*/*.aead"):
        *whole, last = path.read_bytes()
        path.write_bytes(bytes([*whole, last ^ 1]))
    await visitor.sign_in(await running.person("alice"))
    await visitor.post(f"/cases/{item_id}/take")
    assert "1 of 1 statements cannot be read" in (await visitor.get(f"/cases/{item_id}")).text


async def test_who_judged_it_does_not_get_the_appeal_and_another_grants_it(running, new_page, open_case):
    judged = await open_case(account="user-1")
    item = await item_of(running, judged)
    async with running.database.transaction() as conn:
        await rounds.bar_judges(conn, item)
        await conn.execute(
            "UPDATE review_items SET state = 'decided', resolution = 'uphold', decided_by = 'analyst/alice',"
            " decided_at = now(), settled_at = now() WHERE item_id = %s",
            [judged],
        )
    appeal = await scenes.appealed(running, item.decision_id)
    alice, bob = await new_page(), await new_page()
    await sign_in(alice, running.url, await running.person("alice", "senior"), f"/cases/{appeal}")
    await sign_in(bob, running.url, await running.person("bob", "senior"), "/appeals")
    refused = await alice.inner_text("main")
    assert "You judged what this appeal is about" in refused
    assert await alice.locator("button[data-key=n]").count() == 0
    await follow(bob, f"a[href='/cases/{appeal}']")
    await press(bob, "n")
    shown = await bob.inner_text("main")
    assert scenes.SAID in shown
    assert "a quiet harbour at dawn" in shown
    assert "analyst/alice judged this before and may not take it" in shown
    assert await buttons(bob) == ["Grant appeal r", "Deny u"]
    await press(bob, "r")
    await bob.goto(f"{running.url}/cases/{appeal}")


async def test_a_suspension_shows_what_led_to_it_and_is_lifted_or_confirmed(running, page):
    item_id = await scenes.suspended(running)
    await sign_in(page, running.url, await running.person("alice", "senior"), f"/cases/{item_id}")
    await press(page, "n")
    shown = await page.inner_text("main")
    assert "→ suspended" in shown
    assert await page.locator("section[aria-labelledby=account] li").count() == 2
    assert await buttons(page) == ["Lift r", "Confirm suspension u"]
    await press(page, "u")
    await page.goto(f"{running.url}/cases/{item_id}")
    assert "Suspension confirmed by analyst/alice" in await page.inner_text("main")


@pytest.mark.parametrize(
    ("resolution", "said"), [("release", "Suspension lifted."), ("uphold", "Suspension confirmed.")]
)
async def test_the_next_page_says_what_was_decided_in_the_words_of_the_case(running, visitor, resolution, said):
    item_id = await scenes.suspended(running)
    await visitor.sign_in(await running.person("alice", "senior"))
    await visitor.post(f"/cases/{item_id}/take")
    decided = await visitor.post(f"/cases/{item_id}/decide", {"resolution": resolution})
    assert said in (await visitor.get(decided.headers["location"])).text


async def test_the_appeal_of_a_suspension_shows_it_as_well(running, visitor):
    await scenes.suspended(running)
    item_id = await scenes.appealed(running, None, suspension=True)
    await visitor.sign_in(await running.person("bob", "senior"))
    shown = (await visitor.get(f"/cases/{item_id}")).text
    assert "The account appeals its suspension" in shown
    assert "→ suspended" in shown


async def test_what_is_due_first_is_above(running, visitor):
    items = [str(await scenes.reported(running, account=f"user-{number}")) for number in range(3)]
    async with running.database.transaction() as conn:
        for hours, item_id in enumerate(reversed(items)):
            await conn.execute(
                "UPDATE review_items SET due_at = now() + make_interval(hours => %s) WHERE item_id = %s",
                [hours, item_id],
            )
    await visitor.sign_in(await running.person("alice"))
    shown = (await visitor.get("/reports")).text
    places = [shown.index(f"/cases/{item_id}") for item_id in items]
    assert places == sorted(places, reverse=True)


async def test_lists_go_on_where_a_page_ends(running, visitor, monkeypatch):
    monkeypatch.setattr(complaints, "PAGE_SIZE", 2)
    items = [str(await scenes.reported(running, account=f"user-{number}")) for number in range(5)]
    await visitor.sign_in(await running.person("alice"))
    found, path = [], "/reports"
    while path:
        shown = (await visitor.get(path)).text
        found += re.findall(r"/cases/([0-9a-f-]{36})", shown)
        more = re.search(r'href="(\?after=[^"]+)">More', shown)
        path = "/reports" + more[1] if more else ""
    assert sorted(found) == sorted(items)


async def test_an_analyst_sees_an_accounts_strikes_beside_its_case(running, visitor, open_case):
    await scenes.strike(running, "warned", "hate")
    item_id = await open_case("violence")
    await visitor.sign_in(await running.person("alice"))
    shown = (await visitor.get(f"/cases/{item_id}")).text
    weight = f"{scenes.weight_of(running, 'warned'):.2f}"
    assert f"weighs {weight} of {weight}" in shown
    assert ">warned<" in shown
    assert 'href="/accounts/' not in shown


async def test_sealed_reports_and_strikes_exist_for_their_own_people_alone(running, visitor, http):
    sealed = await scenes.reported(running, category="sexual.minors", sealed=True)
    other = await scenes.reported(running, category="violence")
    await scenes.strike(running, 6.0, "sexual.minors", sealed=True)
    await visitor.sign_in(await running.person("alice", "senior", "lead"))
    for path in ("/reports", "/appeals", f"/cases/{other}", "/accounts/acme/user-1"):
        shown = (await visitor.get(path)).text
        assert str(sealed)[:8] not in shown, path
        assert "sexual.minors" not in shown, path
    visitor.cookies.clear()
    await visitor.sign_in(await running.person("sam", "sealed", "senior"))
    for path in ("/reports", "/accounts/acme/user-1"):
        assert "sexual.minors" in (await visitor.get(path)).text, path


@pytest.mark.parametrize("path", ["/reports", "/appeals"])
async def test_complaints_are_for_those_who_review(running, visitor, path):
    await visitor.sign_in(await running.person("eve", "policy", "auditor", "admin"))
    assert (await visitor.get(path)).status_code == 403
    assert f'href="{path}"' not in (await visitor.get("/me")).text
