"""What strangers and colleagues wrote, on the pages about accounts, complaints and banks: words that do nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest

from services.core.standing import conduct
from services.core.store import waitlist
from tests.integration.console import scenes
from tests.integration.console.conftest import follow, press, sign_in
from tests.integration.console.test_hostile import SCRIPTS

pytestmark = pytest.mark.asyncio(loop_scope="session")

SCRIPT = "".join(SCRIPTS[:3])
STATEMENT = "".join(SCRIPTS)


async def test_a_script_in_any_field_of_any_page_is_words(running, page):
    dialogs, broken = [], []
    page.on("dialog", lambda dialog: dialogs.append(dialog.message))
    page.on("console", lambda message: broken.append(message.text) if "Content Security" in message.text else None)
    report = await scenes.reported(running, STATEMENT, account=SCRIPT)
    appeal = await scenes.appealed(
        running, await scenes.strike(running, 1.0, account=SCRIPT), STATEMENT, account=SCRIPT
    )
    await scenes.flagged(running, STATEMENT, account=SCRIPT)
    suspension = await scenes.suspended(running, SCRIPT)
    await scenes.fill_banks(running, SCRIPT, SCRIPT)
    async with running.database.transaction() as conn:
        rules, now = running.console.policy.current.document.standing, datetime.now(UTC)
        given = {"who": SCRIPT, "rules": rules, "now": now, "confirmed": True, "note": STATEMENT}
        await conduct.impose(conn, "acme", SCRIPT, "suspended", SCRIPT[:64], now + timedelta(days=900), **given)
        await conduct.restore(conn, "acme", SCRIPT, who=SCRIPT, rules=rules, now=now, note=STATEMENT)
        await waitlist.join(conn, "acme", SCRIPT)
    await sign_in(page, running.url, await running.person("alice", "senior", "policy"))
    for item_id, said in ((report, 2), (appeal, 2), (suspension, 1)):
        await page.goto(f"{running.url}/cases/{item_id}")
        await press(page, "n")
        await harmless(page, SCRIPT, said)
        await follow(page, "text=Give back")
    for path, said in {
        f"/accounts/acme/{quote(SCRIPT, safe='')}": 5,
        "/waitlist?tenant=acme": 1,
        "/flags": 2,
        "/reports": 1,
        "/appeals": 1,
        "/banks": 4,
        "/banks/words/acme/brand": 3,
        "/banks/people/*/politicians": 3,
        "/banks/images/*/leaked": 52,
        f"/banks/images/*/leaked?like={quote(SCRIPT[:60])}": 52,
    }.items():
        await page.goto(running.url + path)
        await harmless(page, SCRIPT, said)
    assert (dialogs, broken) == ([], [])


async def harmless(page, script, said) -> None:
    """It is there as words, `said` times at least, and has done nothing."""
    assert (await page.inner_text("main")).count(script) >= said, page.url
    assert await page.evaluate("window.hacked") is None
    assert await page.evaluate("getComputedStyle(document.body).display") == "block"
