"""What every page looks like: to be read by everybody, in both schemes, at twice the size.

With PORTCULLIS_TEST_PICTURES=docs/images the pages are written there as well, as pictures.
"""

from __future__ import annotations

import io
import os

import pytest
from PIL import Image

from services.core.staff import Analyst
from services.core.store import comments, golden
from services.review import weekly
from services.review.thresholds import Wanted
from tests.integration.console.conftest import judge, sign_in

pytestmark = pytest.mark.asyncio(loop_scope="session")

PICTURES = os.environ.get("PORTCULLIS_TEST_PICTURES", "")
# For each run of text: its colour against the nearest ground behind it (WCAG 2.2, 1.4.3); what is disabled is exempt.
CONTRAST = """() => {
  const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
  const lum = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const over = ([r, g, b, a = 1], under) => [r, g, b].map((v, i) => v * a + under[i] * (1 - a));
  const ground = (node) => {
    const colour = rgb(getComputedStyle(node).backgroundColor);
    if ((colour[3] ?? 1) === 1) return colour;
    return over(colour, node.parentElement ? ground(node.parentElement) : [255, 255, 255]);
  };
  const words = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const poor = [];
  while (words.nextNode()) {
    const node = words.currentNode.parentElement;
    if (!words.currentNode.data.trim() || !node.checkVisibility() || node.closest(':disabled, svg, .unseen')) continue;
    const under = ground(node), style = getComputedStyle(node);
    const [one, two] = [lum(over([...rgb(style.color).slice(0, 3), Number(style.opacity)], under)), lum(under)];
    const ratio = (Math.max(one, two) + 0.05) / (Math.min(one, two) + 0.05);
    if (ratio < 4.5) poor.push([words.currentNode.data.trim().slice(0, 40), ratio]);
  }
  return poor;
}"""
UNNAMED = """() => [...document.querySelectorAll('input:not([type=hidden]), select, textarea, button, img, a[href]')]
  .filter((e) => !(e.labels?.length || e.textContent.trim() || e.alt || e.ariaLabel)).map((e) => e.outerHTML)"""
WIDE = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_every_page_can_be_read_by_everybody(running, page, open_case, scheme):
    pages = await signed_in(running, page, open_case)
    await page.emulate_media(color_scheme=scheme)
    for name, path in pages.items():
        await page.goto(running.url + path)
        assert await page.evaluate(CONTRAST) == [], name
        assert await page.evaluate(UNNAMED) == [], name
        assert [await page.locator(mark).count() for mark in ("main", "h1", "html[lang]", "head title")] == [
            1,
            1,
            1,
            1,
        ], name
        if scheme == "light":
            await picture(page, name)


async def test_at_twice_the_size_nothing_is_beside_the_page(running, page, open_case):
    pages = await signed_in(running, page, open_case)
    await page.set_viewport_size({"width": 640, "height": 400})  # 1280 × 800 at 200%
    for name, path in pages.items():
        await page.goto(running.url + path)
        assert await page.evaluate(WIDE) <= 0, name


async def test_nothing_moves_for_who_wants_that(running, page, open_case):
    await signed_in(running, page, open_case)
    await page.emulate_media(reduced_motion="reduce")
    await page.goto(f"{running.url}/work?what=Case+skipped")
    assert await page.evaluate("getComputedStyle(document.querySelector('.toast')).animationName") == "none"


async def signed_in(running, page, open_case) -> dict[str, str]:
    """Somebody who holds a case with a picture, and the pages of the console by name."""
    await a_week_of_work(running, open_case)
    item_id = await open_case("realistic_face", picture=True, prompt="a portrait of the pilot in front of the moon")
    for number in range(4):
        await open_case("spam", account=f"user-{number}", prompt=f"poster number {number}")
    await open_case("violence", account="user-1")
    async with running.database.transaction() as conn:
        await comments.add(conn, item_id, Analyst("bob", frozenset({"analyst"})), "Looks like a press photo to me.")
    if PICTURES:
        await page.goto(f"{running.url}/login")
        await picture(page, "login")
    await sign_in(page, running.url, await running.person("alice", "senior", "lead", "policy", "auditor"))
    async with page.expect_navigation():
        await page.keyboard.press("n")
    policy_id = running.console.policy.current.id
    return {
        "desk": "/desk",
        "golden": "/desk/golden",
        "thresholds": "/desk/thresholds",
        "policy": "/policy",
        "history": "/policy/history",
        "difference": f"/policy/diff?before={policy_id}&after={policy_id}",
        "shadow": "/policy/shadow",
        "audit": "/audit",
        "trail": f"/audit/items/{item_id}",
        "verification": "/audit/verification",
        "case": f"/cases/{item_id}",
        "work": "/work?what=Case+skipped",
        "cases": "/cases",
        "me": "/me",
        "break": "/break",
        "error": "/nothing",
    }


async def a_week_of_work(running, open_case) -> None:
    """Three people judged this and that, some of it golden or twice; and the report of the week is there."""
    for number in range(9):
        golden_id = await open_case("violence", account=f"user-{number}")
        await judge(running, golden_id, ("ada", "ben", "cleo")[number % 3], "uphold" if number % 4 else "release")
    async with running.database.transaction() as conn:
        await golden.add(conn, golden_id, "A toy water pistol in a bright colour: nothing of it hurts anybody.", "lea")
        await conn.execute(
            "UPDATE review_rounds SET decided_at = now() - n % 7 * interval '1 day', seconds = 20 + 7 * n FROM ("
            " SELECT item_id, row_number() OVER () AS n FROM review_rounds) AS numbered WHERE"
            " numbered.item_id = review_rounds.item_id"
        )
        await conn.execute(
            "INSERT INTO review_rounds (item_id, round, analyst, resolution, comment, seconds, batch)"
            " SELECT item_id, 2, 'analyst/dora', CASE WHEN seconds > 30 THEN resolution WHEN resolution = 'uphold'"
            " THEN 'release' ELSE 'uphold' END, '', 31, gen_random_uuid() FROM review_rounds LIMIT 6"
        )
        await conn.execute(
            "INSERT INTO threshold_reports (week, policy, rows) VALUES ('2026-11-23', 'p', %s)",
            [weekly._ROWS.dump_json([Wanted("spam", "prompt", 40, 10, 2, 1, 0.6, 0.95, 0.72, 0.9)]).decode()],
        )


async def picture(page, name) -> None:
    """Writes the page as a picture, where pictures are asked for."""
    if PICTURES:
        await page.set_viewport_size({"width": 1120, "height": 700})
        whole = name in ("case", "report", "appeal", "desk")
        shot = Image.open(io.BytesIO(await page.screenshot(full_page=whole)))
        shot.convert("RGB").quantize(128).save(f"{PICTURES}/console-{name}.png", optimize=True)
