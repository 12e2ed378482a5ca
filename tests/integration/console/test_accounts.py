"""Accounts: what a page says of one, and what people do to one, with a reason and on record."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
import pytest_asyncio

from services.core.store import accounts, strikes, waitlist
from tests.integration.console import scenes
from tests.integration.console.conftest import follow, press, sign_in

pytestmark = pytest.mark.asyncio(loop_scope="session")

USER = {"tenant": "acme", "account": "user-1"}
PAGE = "/accounts/acme/user-1"


@pytest_asyncio.fixture(loop_scope="session")
async def senior(running, visitor):
    await visitor.sign_in(await running.person("alice", "senior"))
    return visitor


async def account_of(running, account="user-1"):
    async with running.database.transaction() as conn:
        return await accounts.get(conn, "acme", account)


async def audited(running, action):
    async with running.database.transaction() as conn:
        return await scenes.audited(conn, action)


async def test_an_account_is_found_and_shown_by_keyboard_alone(running, page):
    await scenes.strike(running, "warned")
    await sign_in(page, running.url, await running.person("alice", "senior"), "/accounts")
    await page.locator("input:focus").wait_for()
    await page.keyboard.type("user-1")
    await press(page, "Enter")
    shown = await page.inner_text("main")
    assert "warned" in shown
    assert f"They weigh {scenes.weight_of(running, 'warned'):.2f} now" in shown
    assert "good → warned" in shown


async def test_the_next_step_is_the_first_that_is_not_reached(running, senior):
    await scenes.strike(running, 1.0)
    shown = (await senior.get(PAGE)).text
    assert "on: warned" in shown


async def test_a_person_imposes_a_step_for_some_days(running, senior):
    for step in ("warned", "cooling", "held", "suspended"):
        account = f"to-be-{step}"
        await scenes.strike(running, 0.1, account=account)
        form = {"tenant": "acme", "account": account, "step": step, "days": "3", "why": "sells them"}
        answer = await senior.post("/accounts/impose", form)
        known = await account_of(running, account)
        days = (known.standing_until - datetime.now(UTC)).total_seconds() / 86_400
        assert answer.headers["location"] == f"/accounts/acme/{account}"
        assert (known.standing, known.standing_reason, round(days)) == (step, "person", 3)
        said = await audited(running, f"account.{step}")
        assert [(each["who"], each["note"]) for each in said] == [("analyst/alice", "sells them")]


async def test_a_word_that_changes_nothing_is_on_record_as_well(running, senior):
    await scenes.suspended(running)
    await senior.post("/accounts/impose", {**USER, "step": "warned", "days": "3", "why": "once more"})
    assert [said["note"] for said in await audited(running, "account.imposed")] == ["once more"]


async def test_only_who_is_suspended_can_be_banned(running, senior):
    await scenes.strike(running, 0.1)
    ban = {**USER, "step": "banned", "days": "1", "why": "again and again"}
    refused = await senior.post("/accounts/impose", ban)
    before = await account_of(running)
    await senior.post("/accounts/impose", {**USER, "step": "suspended", "days": "3", "why": "again"})
    await senior.post("/accounts/impose", ban)
    after = await account_of(running)
    assert (refused.status_code, before.standing) == (409, "good")
    assert (after.standing, after.standing_until) == ("banned", None)


async def test_an_account_is_restored_and_its_strikes_keep_their_weight(running, senior):
    await scenes.suspended(running)
    await senior.post("/accounts/restore", {**USER, "why": "a mistake of ours"})
    known = await account_of(running)
    assert known.standing == "good"
    assert f"They weigh {1.02 * scenes.weight_of(running, 'suspended'):.2f} now" in (await senior.get(PAGE)).text
    assert [said["note"] for said in await audited(running, "account.restored")] == ["a mistake of ours"]


async def test_an_account_gets_another_tier(running, senior):
    await scenes.strike(running, 0.1)
    await senior.post("/accounts/tier", {**USER, "tier": "trusted", "why": "a partner"})
    assert (await account_of(running)).tier == "trusted"
    assert await audited(running, "account.tier") == [
        {"who": "analyst/alice", "before": "new", "after": "trusted", "why": "a partner"}
    ]


async def test_a_strike_is_taken_back_with_what_came_of_it(running, senior):
    decision = await scenes.strike(running, "warned")
    strike = await strike_of(running)
    await senior.post("/accounts/reverse", {**USER, "strike": str(strike.strike_id), "why": "it was a film"})
    shown = (await senior.get(PAGE)).text
    assert (await account_of(running)).standing == "good"
    assert "taken back by analyst/alice" in shown
    assert "it was a film" in shown
    assert await audited(running, "account.strikes_reversed") == [
        {"who": "analyst/alice", "decision": str(decision), "why": "it was a film"}
    ]


async def strike_of(running, *, sealed=False):
    async with running.database.transaction() as conn:
        return (await strikes.of_account(conn, "acme", "user-1", sealed=[sealed]))[0]


async def test_who_has_waited_is_invited(running, senior):
    await scenes.strike(running, 0.1)
    async with running.database.transaction() as conn:
        await waitlist.join(conn, "acme", "user-1")
    assert "user-1" in (await senior.get("/waitlist")).text
    await senior.post("/waitlist/invite", {**USER, "why": "the next hundred"})
    assert (await account_of(running)).tier == "trusted"
    assert "Nobody waits" in (await senior.get("/waitlist?tenant=acme")).text
    assert [said["why"] for said in await audited(running, "account.invited")] == ["the next hundred"]


FORMS = {
    "/accounts/impose": {"step": "warned", "days": "1"},
    "/accounts/restore": {},
    "/accounts/tier": {"tier": "trusted"},
    "/accounts/reverse": {"strike": "x"},
    "/waitlist/invite": {},
}


@pytest.mark.parametrize("wrong", [{"why": " "}, {"csrf": "x", "why": "because"}])
async def test_nothing_is_done_without_a_reason_or_by_a_strange_form(running, senior, wrong):
    await scenes.strike(running, "warned")
    async with running.database.transaction() as conn:
        await waitlist.join(conn, "acme", "user-1")
    before = await account_of(running)
    answers = [await senior.post(path, {**USER, **form, **wrong}) for path, form in FORMS.items()]
    assert {answer.status_code for answer in answers} <= {400, 403}
    assert await account_of(running) == before


async def test_who_may_not_see_accounts_changes_none(running, visitor):
    await visitor.sign_in(await running.person("eve", "analyst", "policy", "auditor"))
    answers = [await visitor.post(path, {**USER, **form, "why": "because"}) for path, form in FORMS.items()]
    assert {answer.status_code for answer in answers} == {403}
    for path in ("/accounts", PAGE, "/waitlist"):
        assert (await visitor.get(path)).status_code == 403
    assert 'href="/accounts"' not in (await visitor.get("/me")).text


async def test_what_makes_no_sense_changes_nothing(running, senior):
    await scenes.strike(running, 0.1)
    form = {**USER, "step": "warned", "days": "1", "why": "because"}
    wrong = [{"step": "good"}, *({"days": days} for days in ("nan", "0", "99999", "x")), {"tenant": "nobody"}]
    wrong += [{"account": account} for account in ("nobody", "x" * 129, "\x00")]
    answers = [await senior.post("/accounts/impose", {**form, **each}) for each in wrong]
    assert {answer.status_code for answer in answers} <= {400, 404}
    assert (await account_of(running)).standing == "good"


async def test_an_account_of_any_id_has_a_page(running, page):
    await sign_in(page, running.url, await running.person("alice", "senior"), "/accounts")
    for account in (".", "..", "../../work", "\\a&b=c?d#%2e"):
        await scenes.strike(running, 0.1, account=account)
        await page.goto(f"{running.url}/accounts")
        await page.fill("#account-id", account)
        await page.press("#account-id", "Enter")
        await page.fill("#why", "because")
        await follow(page, "button[value=held]")
        assert (await page.inner_text("h1 code")) == account
        assert (await account_of(running, account)).standing == "held"


async def test_an_unknown_account_has_none(senior):
    for account in ("nobody", "%00", "x" * 200):
        assert (await senior.get(f"/accounts/acme/{account}")).status_code == 404


async def test_strikes_of_sealed_cases_neither_show_nor_weigh(running, senior):
    await scenes.strike(running, 1.0, "spam")
    await scenes.strike(running, 6.0, "sexual.minors", sealed=True)
    shown = (await senior.get(PAGE)).text
    assert "sexual.minors" not in shown
    assert "They weigh 1.00 now" in shown


async def test_a_sealed_strike_is_not_taken_back_here(running, visitor):
    await scenes.strike(running, 6.0, "sexual.minors", sealed=True)
    strike = await strike_of(running, sealed=True)
    await visitor.sign_in(await running.person("sam", "senior", "sealed"))
    assert "sexual.minors" in (await visitor.get(PAGE)).text
    form = {**USER, "strike": str(strike.strike_id), "why": "because"}
    assert (await visitor.post("/accounts/reverse", form)).status_code == 404
    assert (await strike_of(running, sealed=True)).reversed_at is None


async def test_a_sealed_strike_of_the_same_decision_stays(running, senior):
    decision = await scenes.strike(running, 1.0)
    await scenes.strike(running, 6.0, sealed=True, decision=decision, source="reported")
    form = {**USER, "strike": str((await strike_of(running)).strike_id), "why": "because"}
    await senior.post("/accounts/reverse", form)
    assert (await strike_of(running)).reversed_at is not None
    assert (await strike_of(running, sealed=True)).reversed_at is None
