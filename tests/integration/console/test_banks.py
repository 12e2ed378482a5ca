"""Banks: what is in them, a page at a time, and what people change of images, with a reason and on record."""

from __future__ import annotations

from dataclasses import replace

import pytest
import pytest_asyncio
from playwright.async_api import expect

from services.core.store import bank_lists, banks
from tests.integration.console import scenes
from tests.integration.console.conftest import follow, sign_in

pytestmark = pytest.mark.asyncio(loop_scope="session")

LEAKED = "/banks/images/*/leaked"


@pytest_asyncio.fixture(loop_scope="session")
async def keeper(running, visitor):
    await scenes.fill_banks(running)
    await visitor.sign_in(await running.person("alice", "policy"))
    return visitor


async def entries_of(running):
    async with running.database.transaction() as conn:
        return await banks.entries(conn, None, "leaked")


async def audited(running, action):
    async with running.database.transaction() as conn:
        return await scenes.audited(conn, action)


async def test_every_bank_is_listed_with_how_much_is_in_it(keeper):
    shown = (await keeper.get("/banks")).text
    for path in ("/banks/words/acme/brand", "/banks/people/*/politicians", LEAKED):
        assert f'href="{path}"' in shown
        assert (await keeper.get(path)).status_code == 200
    assert ">60<" in shown


async def test_entries_come_a_page_at_a_time(running, page):
    await scenes.fill_banks(running)
    await sign_in(page, running.url, await running.person("alice", "policy"), "/banks")
    await follow(page, "text=leaked")
    assert await page.locator("tbody tr").count() == 50
    await follow(page, "text=More")
    assert await page.locator("tbody tr").count() == 10
    await page.fill("#like", "BOMB 07")
    await page.press("#like", "Enter")
    await expect(page.locator("tbody tr")).to_have_count(1)


async def test_what_is_not_there_is_not_found_by_search(keeper):
    for path in ("/banks/words/acme/brand", "/banks/people/*/politicians", LEAKED):
        assert "acme bomb" in (await keeper.get(f"{path}?like=ACME")).text
        assert "Nothing here" in (await keeper.get(f"{path}?like=zzz")).text


async def test_a_search_looks_only_so_far_at_once(running, page, monkeypatch):
    monkeypatch.setattr(bank_lists, "LOOKED", 25)
    await scenes.fill_banks(running)
    await sign_in(page, running.url, await running.person("alice", "policy"), f"{LEAKED}?like=bomb+55")
    assert "there may be something further on" in await page.inner_text("main")
    for _ in range(2):
        await follow(page, "text=More")
    assert await page.locator("tbody tr").count() == 1
    assert await page.locator("text=More").count() == 0


async def test_an_entry_is_judged_and_disabled(running, keeper):
    form = {"entry": "acme bomb 07", "opinion": "disputed", "enabled": "no", "why": "a film poster"}
    await keeper.post(f"{LEAKED}/entry", form)
    changed = {row.entry: (row.opinion, row.enabled) for row in await entries_of(running)}
    assert changed["acme bomb 07"] == ("disputed", False)
    assert changed["acme bomb 08"] == ("positive_class", True)
    said = [*await audited(running, "image_banks.opinion"), *await audited(running, "image_banks.disable")]
    assert [(each["who"], each["entry"], each["why"]) for each in said] == [
        ("analyst/alice", "acme bomb 07", "a film poster")
    ] * 2


async def test_a_bank_is_disabled_and_enabled(running, keeper):
    await keeper.post(f"{LEAKED}/change", {"enabled": "no", "why": "under repair"})
    off = (await keeper.get(LEAKED)).text
    await keeper.post(f"{LEAKED}/change", {"enabled": "yes", "why": "repaired"})
    assert "Enable the whole bank" in off
    assert "Disable the whole bank" in (await keeper.get(LEAKED)).text
    assert [said["why"] for said in await audited(running, "image_banks.enable")] == ["repaired"]


async def test_nothing_is_changed_without_a_reason_or_by_a_strange_form(running, keeper):
    before = await entries_of(running)
    form = {"entry": "acme bomb 07", "opinion": "disputed", "enabled": "no", "why": "because"}
    for wrong in ({"why": ""}, {"csrf": "x"}, {"enabled": "maybe"}):
        for step in ("change", "entry"):
            assert (await keeper.post(f"{LEAKED}/{step}", {**form, **wrong})).status_code in (400, 403)
    assert await entries_of(running) == before


async def test_a_bank_that_is_not_there_has_no_page(keeper):
    for path in ("images/*/none", "words/*/brand", "x/*/leaked", "images/acme/leaked", "words/acme/%00"):
        assert (await keeper.get(f"/banks/{path}")).status_code == 404


async def test_banks_are_for_those_who_keep_them(running, visitor):
    await scenes.fill_banks(running)
    await visitor.sign_in(await running.person("eve", "analyst", "auditor"))
    assert (await visitor.get("/banks")).status_code == 403
    form = {"enabled": "no", "why": "because"}
    assert (await visitor.post(f"{LEAKED}/change", form)).status_code == 403
    assert 'href="/banks"' not in (await visitor.get("/me")).text


async def test_how_often_a_sealed_match_was_seen_is_told_to_its_own_people_alone(running, visitor, monkeypatch):
    await scenes.fill_banks(running)
    policy = running.console.policy.current
    review = policy.document.review.model_copy(update={"sealed": ["known_image"]})
    sealing = replace(policy, document=policy.document.model_copy(update={"review": review}))
    monkeypatch.setattr(running.console.policy, "_current", sealing)
    await visitor.sign_in(await running.person("alice", "senior"))
    assert ">Seen<" not in (await visitor.get(LEAKED)).text
    visitor.cookies.clear()
    await visitor.sign_in(await running.person("sam", "senior", "sealed"))
    assert ">Seen<" in (await visitor.get(LEAKED)).text
