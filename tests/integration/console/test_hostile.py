"""What strangers wrote is shown and does nothing; what is sealed is shown to nobody else."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from services.core.staff import Analyst
from services.core.store import comments
from services.review.console.app import PAGES
from tests.integration.console.conftest import sign_in

pytestmark = pytest.mark.asyncio(loop_scope="session")

SCRIPTS = [
    "<script>window.hacked = 1; alert(1)</script>",
    '"><img src=x onerror="window.hacked=1">',
    "<svg/onload=window.hacked=1>",
    "'-window.hacked=1-'",
    "javascript:window.hacked=1",
    "{{ 7 * 7 }}</textarea><style>body{display:none}</style>",
]


@pytest.mark.parametrize("script", SCRIPTS)
async def test_a_script_in_any_field_is_words(running, page, open_case, script):
    dialogs, broken = [], []
    page.on("dialog", lambda dialog: dialogs.append(dialog.message))
    page.on("console", lambda message: broken.append(message.text) if "Content Security" in message.text else None)
    item_id = await open_case(prompt=script, account=script)
    async with running.database.transaction() as conn:
        await comments.add(conn, item_id, Analyst("mallory", frozenset({"analyst"})), script)
    await sign_in(page, running.url, await running.person("alice"))
    async with page.expect_navigation():
        await page.keyboard.press("n")
    shown = await page.inner_text("main")
    await page.goto(f"{running.url}/cases?queue={quote(script[:60])}")
    assert shown.count(script) == 3
    assert await page.evaluate("window.hacked") is None
    assert await page.evaluate("getComputedStyle(document.body).display") == "block"
    assert (dialogs, broken) == ([], [])


async def test_a_character_that_hides_is_shown(running, page, open_case):
    await open_case(prompt="ab\u200bc \u202egnp.exe\x07 d\u00a0e")
    await sign_in(page, running.url, await running.person("alice"))
    async with page.expect_navigation():
        await page.keyboard.press("n")
    hidden = await page.locator(".hidden-character").all_inner_texts()
    assert hidden == ["U+200B", "U+202E", "U+0007", "U+00A0"]


@pytest.mark.parametrize("roles", [("analyst",), ("senior", "lead", "policy", "auditor", "admin")])
async def test_a_sealed_case_is_nowhere_to_be_seen(running, visitor, open_case, roles):
    sealed = await open_case("sexual.minors", account="user-1", picture=True)
    other = await open_case("spam", account="user-1")
    await visitor.sign_in(await running.person("alice", *roles))
    await visitor.post(f"/cases/{other}/take")
    paths = {
        page.path.replace("{item}", str(other)) for page in PAGES if page.method == "GET" and "{n" not in page.path
    }
    texts = {path: (await visitor.get(path)).text for path in paths if "{" not in path}
    assert len(texts) >= 8
    for path, text in texts.items():
        assert str(sealed) not in text, path
        assert str(sealed)[:8] not in text, path
        assert path == "/policy" or "sexual.minors" not in text, path  # the policy says how such cases are sealed


async def test_a_sealed_case_and_an_unknown_one_are_answered_alike(running, visitor, open_case):
    sealed = str(await open_case("sexual.minors", picture=True))
    unknown = "00000000-0000-4000-8000-000000000000"
    await visitor.sign_in(await running.person("alice"))
    for path in ("/cases/{}", "/cases/{}/picture?part=image"):
        answers = [await visitor.get(path.format(item_id)) for item_id in (sealed, unknown)]
        assert len({(answer.status_code, answer.text) for answer in answers}) == 1
    form = {"comment": "why", "resolution": "release", "part": "image"}
    for step in ("take", "decide", "skip", "escalate", "comment", "give-back", "renew", "reveal"):
        answers = [await visitor.post(f"/cases/{item_id}/{step}", form) for item_id in (sealed, unknown)]
        assert len({(answer.status_code, answer.text) for answer in answers}) == 1


async def test_its_own_people_find_a_sealed_case(running, visitor, open_case):
    sealed = await open_case("sexual.minors")
    await visitor.sign_in(await running.person("sam", "sealed"))
    answer = await visitor.post("/work/next")
    assert answer.headers["location"] == f"/cases/{sealed}"
    assert "harbour" in (await visitor.get(f"/cases/{sealed}")).text


async def test_a_damaged_file_is_told_and_blocks_nothing(running, visitor, open_case):
    item_id = await open_case(picture=True)
    for path in running.home.glob("evidence/*/*.aead"):
        *whole, last = path.read_bytes()
        path.write_bytes(bytes([*whole, last ^ 1]))
    await visitor.sign_in(await running.person("alice"))
    await visitor.post(f"/cases/{item_id}/take")
    page = await visitor.get(f"/cases/{item_id}")
    assert "The prompt cannot be read" in page.text
    assert (await visitor.get(f"/cases/{item_id}/picture?part=image")).status_code == 404
    assert (await visitor.post(f"/cases/{item_id}/decide", {"resolution": "uphold"})).status_code == 303
