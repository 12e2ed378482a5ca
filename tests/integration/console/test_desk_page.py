"""What leads look at, and what of it others see: their own figures, and nothing of what is sealed."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from uuid import uuid4

import pytest

from services.core.staff import Analyst
from services.core.store import backlog, golden, quality
from services.review import weekly
from services.review.console import team
from services.review.thresholds import Wanted
from tests.integration.console.conftest import judge, sign_in

pytestmark = pytest.mark.asyncio(loop_scope="session")

SCRIPT = '"><img src=x onerror="window.hacked=1"><script>window.hacked=1</script>'
PAGES = ("/desk", "/desk/golden", "/desk/thresholds")


async def judged(running, open_case, who="analyst/ada", category="violence"):
    """A case that this person upheld for good."""
    item_id = await open_case(category)
    await judge(running, item_id, who.removeprefix("analyst/"), "uphold")
    return item_id


@pytest.fixture
def lead(running, visitor):
    async def came(*roles):
        await visitor.sign_in(await running.person("lea", "lead", *roles))
        return visitor

    return came


@pytest.mark.parametrize("role", ["analyst", "senior", "sealed", "policy", "auditor", "admin"])
async def test_the_desk_is_for_leads_alone(running, visitor, role):
    await visitor.sign_in(await running.person("eve", role))

    assert [(await visitor.get(path)).status_code for path in PAGES] == [403, 403, 403]
    assert 'href="/desk"' not in (await visitor.get("/me")).text


async def test_a_lead_gets_there_by_keyboard_and_sees_what_waits(running, page, open_case):
    late = await open_case("spam")
    await open_case("spam")
    async with running.database.transaction() as conn:
        await conn.execute(
            "UPDATE review_items SET due_at = now() - interval '1 hour', created_at = now() - interval '3 days'"
            " WHERE item_id = %s",
            [late],
        )
    await sign_in(page, running.url, await running.person("lea", "lead"))

    await page.get_by_role("link", name="Desk", exact=True).focus()
    async with page.expect_navigation():
        await page.keyboard.press("Enter")
    cells = await page.locator("tr", has=page.get_by_role("link", name="default")).locator("td").all_inner_texts()

    assert cells[:5] == ["default", "2", "0", "3 d", "1"]


async def test_a_case_in_hand_is_counted_as_such(running, lead, open_case):
    await running.console.desk.take(Analyst("ada", frozenset({"analyst"})), await open_case("spam"))

    async with running.database.transaction() as conn:
        (row,) = await backlog.of_queues(conn, ["default"], [False])

    assert (row.cases, row.in_hand, row.oldest, row.overdue) == (0, 1, None, 0)


async def test_the_teams_figures_are_there(running, lead, open_case):
    await judged(running, open_case, "analyst/ada")
    await judged(running, open_case, "analyst/ben", "spam")

    text = (await (await lead()).get("/desk")).text

    assert "analyst/ada" in text
    assert "analyst/ben" in text
    assert f'value="2" aria-label="Judged on {datetime.now(UTC).date()}"' in text


async def test_people_see_their_own_figures_and_no_others(running, visitor, open_case):
    await judged(running, open_case, "analyst/ada")
    await judged(running, open_case, "analyst/ben")
    await visitor.sign_in(await running.person("ada"))

    text = (await visitor.get("/me")).text

    assert "How you judged" in text
    assert "ben" not in text


async def test_nothing_of_a_sealed_case_is_counted_for_others(running, lead, open_case):
    await judged(running, open_case, "analyst/sam", "sexual.minors")
    await open_case("sexual.minors")

    text = (await (await lead()).get("/desk")).text

    assert "analyst/sam" not in text
    assert "sealed" not in text
    assert 'value="1"' not in text


async def test_what_waits_in_a_queue_that_the_policy_lost_is_listed(running, lead, open_case):
    item_id = await open_case()
    async with running.database.transaction() as conn:
        await conn.execute("UPDATE review_items SET queue = 'posters' WHERE item_id = %s", [item_id])
    visitor = await lead()

    assert "/cases?queue=posters" in (await visitor.get("/desk")).text
    assert str(item_id) in (await visitor.get("/cases?queue=posters")).text


async def test_its_own_people_see_it_counted(running, lead, open_case):
    await judged(running, open_case, "analyst/sam", "sexual.minors")
    await open_case("sexual.minors")

    text = (await (await lead("sealed")).get("/desk")).text

    assert "analyst/sam" in text
    assert "queue=sealed" in text


async def test_days_without_work_are_there_too(running, open_case):
    await judged(running, open_case)
    async with running.database.transaction() as conn:
        days = await quality.days(conn, 3, [False])

    today = datetime.now(UTC).date()
    assert [(day.day, day.judged) for day in days] == [
        (today, 1),
        (today - timedelta(days=1), 0),
        (today - timedelta(days=2), 0),
    ]


async def test_a_case_is_made_golden_and_retired(running, lead, open_case):
    item_id = await judged(running, open_case)
    visitor = await lead()

    made = await visitor.post("/desk/golden", {"item": str(item_id), "note": SCRIPT})
    shown = (await visitor.get("/desk/golden")).text
    async with running.database.transaction() as conn:
        (row,) = await golden.listed(conn)
    retired = await visitor.post(f"/desk/golden/{row.golden}/retire")

    assert (made.status_code, retired.status_code) == (303, 303)
    assert (row.item_id, row.note, row.added_by, row.resolution) == (item_id, SCRIPT, "analyst/lea", "uphold")
    assert "<script>window.hacked" not in shown
    assert "retired" in (await visitor.get("/desk/golden")).text


async def test_a_known_case_is_shown_without_its_answer(running, visitor, open_case):
    item_id = await open_case()
    await judge(running, item_id, "ben", "uphold")
    alice = Analyst("alice", frozenset({"analyst"}))
    async with running.database.transaction() as conn:
        await golden.add(conn, item_id, "", "lea")
        copy = await golden.copy_for(conn, "default", alice)
    await visitor.sign_in(await running.person("alice"))

    text = (await visitor.get(f"/cases/{copy}")).text

    assert ", this one" in text
    assert str(item_id) not in text


async def test_a_sealed_case_and_none_cannot_become_golden_alike(running, lead, open_case):
    sealed = await judged(running, open_case, "analyst/sam", "sexual.minors")
    visitor = await lead()

    answers = [await visitor.post("/desk/golden", {"item": str(item)}) for item in (sealed, uuid4())]

    assert [answer.status_code for answer in answers] == [404, 404]
    assert answers[0].text == answers[1].text


async def test_others_make_nothing_golden(running, visitor, open_case):
    item_id = await judged(running, open_case)
    await visitor.sign_in(await running.person("eve", "senior"))

    answer = await visitor.post("/desk/golden", {"item": str(item_id)})

    assert answer.status_code == 403


async def test_the_weeks_report_says_what_it_means(running, lead):
    row = Wanted("spam", "prompt", 40, 10, 2, 1, 0.6, 0.95, 0.72, 0.9)
    async with running.database.transaction() as conn:
        await conn.execute(
            "INSERT INTO threshold_reports (week, policy, rows) VALUES (%s, 'p', %s)",
            [date(2026, 11, 23), weekly._ROWS.dump_json([row]).decode()],
        )

    text = (await (await lead()).get("/desk/thresholds")).text

    assert "Below 0.72 people released nearly all" in text
    assert "From 0.90 on people upheld nearly all" in text


async def test_where_no_report_is_kept_the_page_says_so(lead):
    assert "No report is kept yet" in (await (await lead()).get("/desk/thresholds")).text


async def test_what_waits_is_read_from_the_index(running):
    """20,000 cases wait, of which the first thousand are looked at."""
    async with running.database.transaction() as conn:
        await conn.execute(
            "INSERT INTO review_items (item_id, decision_id, tenant, account, stage, verdict, reasons, held, sealed,"
            " state, queue, due_at) SELECT gen_random_uuid(), gen_random_uuid(), 'acme', 'user', 'prompt', 2, '[]',"
            " true, false, 'queued', CASE WHEN n % 2 = 0 THEN 'default' ELSE 'other' END, now()"
            " FROM generate_series(1, 20000) AS n"
        )
        await conn.execute("ANALYZE review_items")
        rows = await backlog.of_queues(conn, ["default", "appeals"], [False])
        parameters = {"sealed": [False], "most": backlog.MOST_COUNTED}
        plans = [
            (await (await conn.execute("EXPLAIN " + query, {**parameters, **more})).fetchall(), index)
            for query, more, index in (
                (backlog._HEAD, {"queue": "default"}, "review_items_in_queue"),
                (backlog._HEAD, {"queue": "appeals"}, "review_items_in_queue"),
                (backlog._IN_HAND, {}, "review_items_claimed"),
                (backlog._UNROUTED, {}, "review_items_pending"),
            )
        ]

    assert [row.cases for row in rows] == [backlog.MOST_COUNTED, 0]
    for lines, index in plans:
        assert any(index in line for (line,) in lines), lines


async def test_figures_are_kept_for_a_while(running, lead, open_case, monkeypatch):
    reckoned = []

    async def figures(_desk, *_args):
        reckoned.append(1)
        raise RuntimeError("not this time")

    visitor = await lead()
    first = await visitor.get("/desk")
    monkeypatch.setattr(type(running.console.desk), "figures", figures)
    second = await visitor.get("/desk")
    monkeypatch.setattr(team, "FRESH", timedelta(0))
    third = await visitor.get("/desk")

    assert [answer.status_code for answer in (first, second, third)] == [200, 200, 200]
    assert len(reckoned) == 1
    assert "broke off" in third.text
    assert "Judgements a day" in third.text
