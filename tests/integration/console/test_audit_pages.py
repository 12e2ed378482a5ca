"""The audit trail's pages: what is there, found, proved, and hidden from whom."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest

from services.core.staff import Analyst
from services.core.store import audit
from services.core.store.audit import Look
from tests.integration.console.conftest import sign_in

pytestmark = pytest.mark.asyncio(loop_scope="session")

PATHS = ("/audit", "/audit/verification")
HOSTILE = "<script>window.hacked = 1</script>"


@pytest.fixture
def auditor(running, visitor):
    async def came(*roles):
        await visitor.sign_in(await running.person("otto", "auditor", *roles))
        return visitor

    return came


async def write(running, action="bank.test", subject="acme/x", actor="carol", **detail):
    async with running.database.transaction() as conn:
        await audit.append(conn, actor, action, subject, **detail)


async def tamper(running, statement, *values):
    async with running.database.transaction() as conn:
        await conn.execute("SET LOCAL session_replication_role = replica")
        await conn.execute(statement, values)


@pytest.mark.parametrize("role", ["analyst", "senior", "sealed", "lead", "policy"])
async def test_the_trail_is_closed_to_other_roles(running, visitor, open_case, role):
    item_id = await open_case()
    await visitor.sign_in(await running.person("eve", role))

    answers = [await visitor.get(path) for path in (*PATHS, f"/audit/items/{item_id}")]

    assert [answer.status_code for answer in answers] == [403, 403, 403]
    assert (await visitor.post("/audit/verify")).status_code == 403
    assert 'href="/audit"' not in (await visitor.get("/me")).text


async def test_admins_begin_there(running, visitor):
    await visitor.sign_in(await running.person("ada", "admin"))

    assert (await visitor.get("/")).headers["location"] == "/audit"


async def test_hostile_words_in_the_trail_are_words(running, page, open_case):
    await write(running, subject=HOSTILE, actor=HOSTILE, note=HOSTILE, more=[HOSTILE])
    await sign_in(page, running.url, await running.person("otto", "auditor"), "/audit")

    shown = await page.inner_text("main")

    assert shown.count(HOSTILE) == 4
    assert await page.evaluate("window.hacked") is None


async def test_events_are_found_by_how_they_begin(running, auditor):
    await write(running, "bank.one", "acme/x")
    await write(running, "bank.two", "acme/y", "dave")
    visitor = await auditor()

    texts = [(await visitor.get(f"/audit?{query}")).text for query in ("action=bank.o", "subject=acme/y", "actor=da")]

    assert [("bank.one" in text, "bank.two" in text) for text in texts] == [(True, False), (False, True), (False, True)]


async def test_the_trail_goes_on_page_by_page(running, auditor):
    for number in range(51):
        await write(running, subject=f"s{number}.")
    visitor = await auditor()
    first = (await visitor.get("/audit?action=bank")).text
    query = first.partition('href="?')[2].partition('"')[0].replace("&amp;", "&")

    second = (await visitor.get(f"/audit?{query}")).text

    assert ("s50." in first, "s1." in first, "s0." in first) == (True, True, False)
    assert ("s0." in second, "s1." in second) == (True, False)


async def test_a_page_looks_back_only_so_far(running, monkeypatch):
    monkeypatch.setattr(audit, "REACH", 3)
    await write(running, "old.one")
    for _ in range(3):
        await write(running)
    async with running.database.transaction() as conn:
        first, place = await audit.page(conn, Look(action="old"), None, 10)
        second, _ = await audit.page(conn, Look(action="old"), place, 10)

    assert (first, [event.action for event in second]) == ([], ["old.one"])


@pytest.mark.parametrize("query", ["before=x", "before=-1", f"before={'9' * 19}", f"actor={'a' * 201}"])
async def test_what_no_page_gave_is_told(auditor, query):
    assert (await (await auditor()).get(f"/audit?{query}")).status_code == 400


@pytest.mark.parametrize(("roles", "seen"), [((), False), (("sealed",), True)])
async def test_an_export_of_sealed_cases_is_known_to_their_people_alone(running, auditor, roles, seen):
    await write(running, "sealed.export", "sealed", sha256="ab" * 32)
    visitor = await auditor(*roles)

    text = (await visitor.get("/audit?actor=carol")).text

    assert ("sealed.export" in text) is seen


async def test_strikes_of_a_sealed_case_taken_back_are_known_to_their_people_alone(running, open_case):
    decision = uuid4()
    await write(running, "account.strikes_reversed", "acme/u", decision=str(decision))
    await write(running, "account.strikes_reversed", "acme/v", decision=str(uuid4()))
    await tamper(
        running,
        "INSERT INTO strikes (tenant, account, decision_id, source, category, stage, weight, sealed, at)"
        " VALUES ('acme', 'u', %s, 'blocked', 'violence', 'prompt', 1, true, now())",
        decision,
    )

    async with running.database.transaction() as conn:
        pages = [await audit.page(conn, Look(actor="carol", sealed=sealed), None, 10) for sealed in (False, True)]

    assert [[event.subject for event in events] for events, _ in pages] == [["acme/v"], ["acme/v", "acme/u"]]


async def test_a_cases_own_trail_is_shown_and_adds_up(running, auditor, open_case):
    item_id = await open_case()
    claim = await running.console.desk.take(Analyst("ada", frozenset({"analyst"})), item_id)
    await running.console.desk.skip(Analyst("ada", frozenset({"analyst"})), item_id, claim.token, HOSTILE)
    visitor = await auditor()

    found = await visitor.get(f"/audit/items?item={item_id}")
    text = (await visitor.get(found.headers["location"])).text

    assert "All 4 events add up" in text
    assert "analyst/ada" in text
    assert HOSTILE not in text
    assert "&lt;script&gt;" in text


async def test_a_case_whose_trail_was_changed_is_told(running, auditor, open_case):
    item_id = await open_case()
    await tamper(running, "UPDATE review_events SET actor = 'nobody' WHERE item_id = %s AND seq = 1", item_id)

    text = (await (await auditor()).get(f"/audit/items/{item_id}")).text

    assert "event 1 was changed" in text


async def test_the_trail_of_a_sealed_case_and_of_none_are_answered_alike(running, auditor, open_case):
    sealed = await open_case("sexual.minors")
    visitor = await auditor()

    answers = [await visitor.get(f"/audit/items/{item}") for item in (sealed, uuid4())]

    assert {(answer.status_code, answer.text) for answer in answers} == {(404, answers[0].text)}


async def test_its_own_people_see_the_trail_of_a_sealed_case(auditor, open_case):
    sealed = await open_case("sexual.minors")

    assert (await (await auditor("sealed")).get(f"/audit/items/{sealed}")).status_code == 200


@pytest.mark.parametrize("item", ["", "x", "//evil.example", "../../login"])
async def test_no_case_leads_elsewhere(auditor, item):
    assert (await (await auditor()).get(f"/audit/items?item={item}")).status_code == 400


async def test_the_trail_is_verified_by_keyboard(running, page):
    await write(running)
    await sign_in(page, running.url, await running.person("otto", "auditor"), "/audit/verification")

    await page.get_by_role("button", name="Verify").focus()
    async with page.expect_navigation():
        await page.keyboard.press("Enter")
    async with asyncio.timeout(30):
        while "All adds up" not in (shown := await page.inner_text("main")):
            await page.reload()
    async with running.database.transaction() as conn:
        head = await audit.head(conn)

    assert head.hash.hex() in shown


async def test_one_changed_row_is_found(running, auditor):
    await write(running)
    visitor = await auditor()
    await tamper(running, "UPDATE audit_events SET subject = 'acme/other' WHERE action = 'bank.test'")

    await visitor.post("/audit/verify")
    text = (await visitor.get("/audit/verification")).text

    assert "was changed" in text
    assert "All adds up" not in text


async def test_of_many_flaws_the_first_are_told(running, auditor):
    for _ in range(30):
        await write(running)
    visitor = await auditor()
    await tamper(running, "UPDATE audit_events SET subject = 'acme/other' WHERE action = 'bank.test'")

    await visitor.post("/audit/verify")
    text = (await visitor.get("/audit/verification")).text

    assert "the check ended after the first 20 places" in text
    assert text.count("<li>event") == 20


@pytest.mark.parametrize(("roles", "told"), [((), False), (("sealed",), True)])
async def test_the_number_of_events_would_betray_those_hidden(auditor, roles, told):
    visitor = await auditor(*roles)

    await visitor.post("/audit/verify")
    text = (await visitor.get("/audit/verification")).text

    assert ("It has " in text) is told
