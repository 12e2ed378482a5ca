"""A person's work, in a real browser."""

from __future__ import annotations

import asyncio
import re
from uuid import uuid4

import pytest
from playwright.async_api import expect

from services.core.signals import TextSpan
from services.core.staff import Analyst
from services.core.store import claims, review_events, review_items
from services.core.verdicts import Reason, Verdict
from tests.integration.console.conftest import follow, press, sign_in

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def steps_of(running, item_id):
    async with running.database.transaction() as conn:
        return [event.kind for event in await review_events.of_item(conn, item_id)]


async def item_of(running, item_id):
    async with running.database.transaction() as conn:
        item = await review_items.get(conn, item_id)
    assert item is not None
    return item


async def test_the_whole_flow_by_keyboard_alone(running, page, open_case):
    first, second = await open_case(picture=True, account="user-1"), await open_case(account="user-2")
    await sign_in(page, running.url, await running.person("alice"))
    await press(page, "n")
    assert str(first) in page.url
    async with page.expect_response("**/reveal"):
        await page.keyboard.press("v")
    await page.wait_for_selector("canvas:not([hidden])")
    await press(page, "r")
    assert str(second) in page.url
    await press(page, "z")
    assert str(first) in page.url
    await press(page, "u")
    assert str(second) in page.url
    item = await item_of(running, first)
    assert (item.resolution, item.decided_by) == ("uphold", "analyst/alice")


async def test_every_step_can_be_reached_by_tab(running, page, open_case):
    await open_case(picture=True)
    await sign_in(page, running.url, await running.person("alice"))
    await press(page, "n")
    reached = set()
    for _ in range(40):
        await page.keyboard.press("Tab")
        reached.add(await page.evaluate("document.activeElement.dataset.key || ''"))
        outline = await page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        at_body = await page.evaluate("document.activeElement === document.body")
        assert outline != "none" or at_body
    assert reached >= {"r", "u", "e", "s", "c", "v"}


async def test_keys_can_be_listed_and_switched_off(running, page, open_case):
    item_id = await open_case()
    await sign_in(page, running.url, await running.person("alice"))
    await press(page, "n")
    await page.keyboard.press("?")
    assert await page.locator("dialog[open]").count() == 1
    await page.uncheck("#use-keys")
    await page.keyboard.press("Escape")
    await page.keyboard.press("u")
    await page.keyboard.press("Escape")
    assert (await item_of(running, item_id)).state == "claimed"


@pytest.mark.parametrize(("key", "kind"), [("e", "escalated"), ("s", "skipped")])
async def test_a_case_is_passed_on_with_a_reason(running, page, open_case, key, kind):
    item_id = await open_case()
    await sign_in(page, running.url, await running.person("alice"))
    await press(page, "n")
    await page.keyboard.press(key)
    await page.keyboard.type("not my language")
    await press(page, "Control+Enter")
    assert page.url.startswith(f"{running.url}/work")
    assert kind in await steps_of(running, item_id)


async def test_an_escalated_case_is_for_seniors(running, page, new_page, open_case):
    item_id = await open_case()
    await sign_in(page, running.url, await running.person("alice"))
    await press(page, "n")
    await page.keyboard.press("e")
    await page.keyboard.type("beyond me")
    await press(page, "Control+Enter")
    bob, carol = await new_page(), await new_page()
    await sign_in(bob, running.url, await running.person("bob"))
    await sign_in(carol, running.url, await running.person("carol", "senior"))
    assert "Nothing waits for you" in await bob.inner_text("main")
    await press(carol, "n")
    assert str(item_id) in carol.url
    assert "beyond me" in await carol.inner_text("main")


async def test_a_comment_stays_with_the_case(running, page, open_case):
    item_id = await open_case()
    await sign_in(page, running.url, await running.person("alice"))
    await press(page, "n")
    await page.keyboard.press("c")
    await page.keyboard.type("seen before")
    await press(page, "Control+Enter")
    assert "seen before" in await page.inner_text(".comment")
    assert (await item_of(running, item_id)).state == "claimed"


async def test_of_two_who_want_one_case_one_gets_it(running, new_page, open_case):
    item_id = await open_case()
    pages = [await new_page(), await new_page()]
    for page, name in zip(pages, ("alice", "bob"), strict=True):
        await sign_in(page, running.url, await running.person(name))
    await asyncio.gather(*(press(page, "n") for page in pages))
    assert sorted(str(item_id) in page.url for page in pages) == [False, True]
    assert (await steps_of(running, item_id)).count("claimed") == 1


async def test_what_another_holds_cannot_be_taken(running, new_page, open_case):
    item_id = await open_case()
    alice, bob = await new_page(), await new_page()
    await sign_in(alice, running.url, await running.person("alice"))
    await press(alice, "n")
    await sign_in(bob, running.url, await running.person("bob"), f"/cases/{item_id}")
    assert "analyst/alice looks at it now" in await bob.inner_text("main")
    assert "harbour" not in await bob.content()
    assert await bob.locator(".picture, #steps").count() == 0


async def test_a_lease_lives_as_long_as_the_page(start, page, open_case):
    console = await start(review_claim_seconds="1.5")
    item_id = await open_case()
    await sign_in(page, console.url, await console.person("alice"))
    await press(page, "n")
    async with page.expect_response(f"**/{item_id}/renew"):
        pass
    async with page.expect_response(f"**/{item_id}/renew") as answered:
        pass
    assert (await answered.value).status == 200
    assert await page.locator("#lost").is_hidden()


async def test_a_lost_lease_is_told_and_what_was_typed_is_kept(start, page, open_case):
    console = await start(review_claim_seconds="1.5")
    item_id = await open_case()
    await sign_in(page, console.url, await console.person("alice"))
    await press(page, "n")
    await page.fill("#comment", "half a thought")
    async with console.database.transaction() as conn:
        await conn.execute("UPDATE review_items SET claimed_by = 'analyst/bob' WHERE item_id = %s", [item_id])
    await page.wait_for_selector("#lost:not([hidden])")
    assert await page.input_value("#comment") == "half a thought"
    assert await page.locator("button[data-key=r]").is_disabled()
    async with console.database.transaction() as conn:
        await conn.execute("UPDATE review_items SET claimed_by = 'analyst/alice' WHERE item_id = %s", [item_id])
    await follow(page, "#lost button")
    assert await page.input_value("#comment") == "half a thought"


async def test_words_that_a_filter_found_are_marked(running, page, open_case):
    reason = Reason(
        "violence", "says why", 0.8, 0.7, Verdict.REVIEW, evidence=(TextSpan(10, 12), TextSpan(0, 3, "negative"))
    )
    await open_case(prompt="löwe: größe und 🦁", reasons=(reason,))
    await sign_in(page, running.url, await running.person("alice"))
    await press(page, "n")
    assert await page.locator("mark").all_inner_texts() == ["öß"]


async def test_boxes_are_drawn_where_they_were_found(running, page, open_case):
    await open_case(picture=True)
    await sign_in(page, running.url, await running.person("alice"))
    await press(page, "n")
    await expect(page.locator(".frame img")).to_have_js_property("complete", True)
    image = await page.locator(".frame img").bounding_box()
    box = await page.locator(".frame rect").bounding_box()
    scale = image["width"] / 512
    assert box["x"] - image["x"] == pytest.approx(120 * scale, abs=4)
    assert box["width"] == pytest.approx(160 * scale, abs=6)


async def test_the_page_says_what_went_before(running, page, open_case):
    await open_case("hate", account="user-7")
    await open_case("violence", account="user-7")
    await sign_in(page, running.url, await running.person("alice"))
    await press(page, "n")
    assert "violence" in await page.inner_text("section[aria-labelledby=beside]")
    assert await page.locator("section[aria-labelledby=account] tbody tr").count() == 2


async def test_without_scripts_it_works_as_well(running, browser, open_case):
    first, second = await open_case(account="user-1"), await open_case(account="user-2")
    context = await browser.new_context(java_script_enabled=False)
    context.set_default_timeout(10_000)
    page = await context.new_page()
    await sign_in(page, running.url, await running.person("alice"))
    await follow(page, "button[data-key=n]")
    await follow(page, "button[data-key=u]")
    assert str(second) in page.url
    await follow(page, "button[data-key=z]")
    assert str(first) in page.url
    await context.close()


async def test_an_undo_gives_the_next_case_back(running, page, open_case):
    first, second = await open_case(account="user-1"), await open_case(account="user-2")
    await sign_in(page, running.url, await running.person("alice"))
    await press(page, "n")
    await press(page, "u")
    await press(page, "z")
    assert (await item_of(running, first)).state == "claimed"
    assert (await item_of(running, second)).state == "queued"


async def test_two_tabs_do_not_decide_for_each_other(running, page, open_case):
    first, second = await open_case(account="user-1"), await open_case(account="user-2")
    await sign_in(page, running.url, await running.person("alice"))
    await press(page, "n")
    other = await page.context.new_page()
    await other.goto(f"{running.url}/work")
    await press(other, "n")
    await press(page, "u")
    assert (await item_of(running, first)).state == "decided"
    assert (await item_of(running, second)).state == "claimed"


async def test_a_comment_of_a_megabyte_is_refused(running, visitor, open_case):
    item_id = await open_case()
    await visitor.sign_in(await running.person("alice"))
    assert (await visitor.post(f"/cases/{item_id}/comment", {"comment": "x" * 1_000_000})).status_code == 400
    assert (await visitor.post(f"/cases/{item_id}/comment", {"comment": "x" * 2001})).status_code == 400
    async with running.database.transaction() as conn:
        assert await (await conn.execute("SELECT count(*) FROM review_comments")).fetchone() == (0,)


@pytest.mark.parametrize("step", ["decide", "skip", "escalate", "give-back", "renew", "reveal"])
async def test_no_step_without_the_claim(running, visitor, open_case, step):
    item_id = await open_case(picture=True)
    await visitor.sign_in(await running.person("alice"))
    form = {"comment": "why", "resolution": "release", "part": "image"}
    assert (await visitor.post(f"/cases/{item_id}/{step}", form)).status_code == 409
    assert (await item_of(running, item_id)).state == "queued"


async def test_a_decision_may_name_all_near_duplicates_that_are_shown(visitor, running):
    await visitor.sign_in(await running.person("alice"))
    form = {"resolution": "uphold", "comment": "one spam wave", "also": [str(uuid4()) for _ in range(200)]}
    answer = await visitor.post(f"/cases/{uuid4()}/decide", form)
    assert answer.status_code == 409, "the form is read, and the case is not held"


async def test_a_break_beside_no_case_is_told(running, visitor):
    await visitor.sign_in(await running.person("alice"))
    assert (await visitor.post("/break", {"when": "later", "item": "x"})).status_code == 400


async def test_nothing_on_the_page_tells_that_it_is_a_second_look(running, visitor, open_case):
    judged, fresh = await open_case(), await open_case()
    ann = Analyst("ann", frozenset({"analyst"}))
    claim = await running.console.desk.take(ann, judged)
    async with running.database.transaction() as conn:
        await claims.decide(conn, judged, ann, claim.token, "uphold", "", 0, [], {"default": 1.0})
    await visitor.sign_in(await running.person("bob"))
    pages = [(await visitor.get(f"/cases/{each}")).text for each in (judged, fresh)]
    tags = [re.findall(r'class="tag[^>]*>([^<]*)', text) for text in pages]
    assert tags[0] == tags[1]
