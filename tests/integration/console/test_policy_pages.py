"""The policy's pages: what is in force as it is, what was, and what would be; nothing on them changes anything."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

import pytest

from services.commands.default_policy import DEFAULT_POLICY
from services.core.policy.document import load_policy
from services.core.store import accounts, policies, strikes
from services.core.store.strikes import Change
from services.review.console.app import PAGES
from tests.integration.console.conftest import sign_in

pytestmark = pytest.mark.asyncio(loop_scope="session")

PATHS = ("/policy", "/policy/history", "/policy/shadow")
TEXT = DEFAULT_POLICY.read_text(encoding="utf-8")
HOSTILE = "<script>window.hacked = 1</script><img src=x onerror='window.hacked=1'>"
OTHER = TEXT.replace("name: default", "name: sterner", 1) + f"\n# {HOSTILE}\nreview: {{queues: {{posters: {{}}}}}}\n"


@pytest.fixture
def reader(running, visitor):
    async def came(role="policy"):
        await visitor.sign_in(await running.person("pat", role))
        return visitor

    return came


async def activate(running, text, who="analyst/pat"):
    policy = load_policy(text, "test")
    async with running.database.transaction() as conn:
        await policies.put(conn, policy, who)
        await policies.activate(conn, policy.id, who, datetime.now(UTC))
    return policy


@pytest.mark.parametrize("role", ["analyst", "senior", "sealed", "admin"])
async def test_the_policy_is_closed_to_other_roles(reader, role):
    visitor = await reader(role)

    assert [(await visitor.get(path)).status_code for path in PATHS] == [403, 403, 403]
    assert 'href="/policy"' not in (await visitor.get("/me")).text


@pytest.mark.parametrize("role", ["policy", "auditor", "lead"])
async def test_it_is_open_to_those_who_have_to_do_with_it(reader, role):
    visitor = await reader(role)

    assert [(await visitor.get(path)).status_code for path in PATHS] == [200, 200, 200]


async def test_policy_people_begin_there(reader):
    visitor = await reader("policy")

    answer = await visitor.get("/")

    assert answer.headers["location"] == "/policy"


async def test_what_is_in_force_is_shown_whoever_put_it_there(running, reader):
    policy = await activate(running, OTHER, HOSTILE)
    text = (await (await reader()).get("/policy")).text

    assert policy.id in text
    assert "posters" in text
    assert "&lt;script&gt;window.hacked" in text
    assert "<script>window" not in text


async def test_hostile_words_in_a_policy_are_words(running, page):
    first = await activate(running, TEXT)
    second = await activate(running, OTHER, HOSTILE)
    broken = []
    page.on("console", lambda message: broken.append(message.text) if "Content Security" in message.text else None)
    await sign_in(page, running.url, await running.person("pat", "policy"), "/policy")
    for path in (*PATHS, f"/policy/diff?before={first.id}&after={second.id}"):
        await page.goto(running.url + path)
        assert await page.evaluate("window.hacked") is None
    added = await page.locator(".diff .added").all_inner_texts()

    assert "+name: sterner" in added
    assert f"+# {HOSTILE}" in added
    assert broken == []


async def test_two_policies_are_compared_by_keyboard(running, page):
    await activate(running, TEXT)
    await activate(running, OTHER)
    await sign_in(page, running.url, await running.person("pat", "policy"), "/policy/history")

    await page.get_by_role("button", name="What they differ in").focus()
    async with page.expect_navigation():
        await page.keyboard.press("Enter")

    assert await page.locator(".diff .removed").all_inner_texts() == ["-name: default"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/policy/diff?before=x&after=y", 400),
        (f"/policy/diff?before={'0' * 64}&after={'0' * 64}", 404),
        ("/policy/history?before=-1", 400),
        ("/policy/history?before=9999999999999999999", 400),
        ("/policy?tier=king", 400),
        ("/policy?tier=trusted", 200),
    ],
)
async def test_what_no_page_gave_is_told(reader, path, status):
    assert (await (await reader()).get(path)).status_code == status


async def test_the_record_goes_on_page_by_page(running, reader):
    policy = await activate(running, TEXT)
    async with running.database.transaction() as conn:
        for _ in range(50):
            await policies.activate(conn, policy.id, "analyst/pat", datetime.now(UTC))
    visitor = await reader()
    first = (await visitor.get("/policy/history")).text
    before = first.partition('href="?before=')[2].partition('"')[0]

    second = (await visitor.get(f"/policy/history?before={before}")).text

    assert first.count('name="after"') == 50
    assert second.count('name="after"') == 2


async def test_steps_in_shadow_are_counted_by_account(running, reader):
    async with running.database.transaction() as conn:
        for account in ("user-7", "user-7", "user-8"):
            await accounts.get_or_create(conn, "acme", account)
            change = Change(uuid4(), "good", "cooling", "shadow", None, "strikes", "portcullis", "", datetime.now(UTC))
            await strikes.record_change(conn, "acme", account, change)

    text = (await (await reader()).get("/policy/shadow")).text

    assert '<td>cooling</td><td class="number">2</td>' in text


async def test_the_histogram_is_reckoned_on_demand(reader):
    visitor = await reader()
    before = (await visitor.get("/policy/shadow")).text
    await visitor.post("/policy/histogram")
    after = (await visitor.get("/policy/shadow")).text

    assert "by the weight of their strikes now" not in before
    assert "by the weight of their strikes now" in after


async def test_nothing_on_these_pages_changes_a_policy():
    posts = {page.path for page in PAGES if page.path.startswith("/policy") and page.method == "POST"}

    assert posts == {"/policy/histogram"}


@pytest.mark.parametrize(("roles", "shown"), [(("policy",), 1), (("policy", "sealed"), 2)])
async def test_what_the_watch_found_in_shadow_is_counted_without_what_is_sealed(running, visitor, roles, shown):
    async with running.database.transaction() as conn:
        for sealed in (False, True):
            await conn.execute(
                "INSERT INTO anomalies (anomaly_id, at, tenant, subject, rule, mode, action, explanation, facts,"
                " sealed) VALUES (%s, now(), 'acme', 'user-1', 'probing', 'shadow', 'flag', 'why', '{}', %s)",
                [uuid4(), sealed],
            )
    await visitor.sign_in(await running.person("pat", *roles))

    text = (await visitor.get("/policy/shadow")).text

    assert f'<td>probing</td><td class="number">{shown}</td>' in text
