"""Nobody has to see more than they must, and what they saw is on record."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from services.core.store import review_events, staff, wellness
from services.review.console.pictures import blur
from tests.integration.console.conftest import follow, photograph, press, sign_in

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def claimed(running, visitor, item_id, name="alice", *roles):
    await visitor.sign_in(await running.person(name, *roles))
    await visitor.post(f"/cases/{item_id}/take")


async def test_a_picture_leaves_the_server_blurred_and_grey(running, visitor, open_case):
    item_id = await open_case(picture=True)
    await claimed(running, visitor, item_id)
    answer = await visitor.get(f"/cases/{item_id}/picture?part=image")
    shown = np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGB"), dtype=float)
    assert answer.headers["cache-control"] == "no-store"
    assert np.ptp(shown, axis=2).max() == 0
    assert max(shown.shape) <= 192


async def test_no_detail_is_left_in_a_blurred_picture():
    plain = Image.open(io.BytesIO(photograph())).convert("L").resize((192, 192))
    shown = Image.open(io.BytesIO(blur(photograph())))
    edges = [np.abs(np.diff(np.asarray(picture, dtype=float))).mean() for picture in (plain, shown)]
    assert edges[1] < edges[0] / 4


async def test_a_reveal_is_on_record_counted_and_not_kept(running, visitor, open_case):
    item_id = await open_case(picture=True)
    await claimed(running, visitor, item_id)
    answer = await visitor.post(f"/cases/{item_id}/reveal", {"part": "image"})
    assert answer.content == photograph()
    assert answer.headers["cache-control"] == "no-store"
    async with running.database.transaction() as conn:
        event = (await review_events.of_item(conn, item_id))[-1]
        seen = await wellness.exposure(conn, "alice")
    assert (event.kind, event.actor, event.detail["shown"], event.detail["form"]) == (
        "viewed",
        "analyst/alice",
        "image",
        "plain",
    )
    assert (seen.today, seen.by_category, seen.since_break) == (1, {"violence": 1}, 1)


async def test_a_reveal_is_a_request_of_its_own(running, visitor, open_case):
    item_id = await open_case(picture=True)
    await claimed(running, visitor, item_id)
    assert (await visitor.get(f"/cases/{item_id}/reveal")).status_code == 405
    assert (await visitor.post(f"/cases/{item_id}/reveal", {"part": "image", "csrf": ""})).status_code == 403
    assert (await visitor.post(f"/cases/{item_id}/reveal", {"part": "prompt"})).status_code == 400


async def test_a_revealed_picture_is_covered_again(start, page, open_case):
    console = await start(console_reveal_seconds="1")
    await open_case(picture=True)
    await sign_in(page, console.url, await console.person("alice"))
    await press(page, "n")
    await page.keyboard.press("v")
    await page.wait_for_selector("canvas:not([hidden])")
    await page.wait_for_selector("canvas[hidden]", state="attached")
    left = await page.evaluate(
        "(() => { const c = document.querySelector('canvas');"
        " return c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some((v) => v !== 0); })()"
    )
    assert left is False


async def test_after_some_reveals_a_break_is_proposed(start, new_page, open_case):
    console = await start(console_break_reveals="2")
    await open_case(picture=True)
    page = await new_page()
    await sign_in(page, console.url, await console.person("alice"))
    await press(page, "n")
    for _ in range(2):
        async with page.expect_response("**/reveal"):
            await page.keyboard.press("v")
    await page.reload()
    assert "2 pictures since your last break" in await page.inner_text(".rest")
    await follow(page, "button[value=now]")
    await page.goto(f"{console.url}/work")
    assert await page.locator(".rest").count() == 0
    assert "In your hands" not in await page.inner_text("main")


async def test_after_some_time_a_break_is_proposed(running, visitor, open_case):
    item_id = await open_case()
    await claimed(running, visitor, item_id)
    async with running.database.transaction() as conn:
        await conn.execute("UPDATE staff SET worked_at = now(), working_since = now() - interval '51 minutes'")
    assert "You have worked for 51 minutes." in (await visitor.get(f"/cases/{item_id}")).text


async def test_time_away_is_a_break(running, visitor, open_case):
    item_id = await open_case()
    await claimed(running, visitor, item_id)
    async with running.database.transaction() as conn:
        await conn.execute(
            "UPDATE staff SET worked_at = now() - interval '11 minutes', working_since = now() - interval '80 minutes'"
        )
    assert "You have worked" not in (await visitor.get(f"/cases/{item_id}")).text


async def test_nobody_is_given_what_they_do_not_want(running, visitor, open_case):
    await open_case("violence.graphic", account="user-1")
    wanted = await open_case("spam", account="user-2")
    await visitor.sign_in(await running.person("alice"))
    await visitor.post("/me/opt-out", {"category": "violence"})
    first, second = await visitor.post("/work/next"), await visitor.post("/work/next")
    assert first.headers["location"] == f"/cases/{wanted}"
    assert second.headers["location"] == "/work?empty=1"
    async with running.database.transaction() as conn:
        member = await staff.get(conn, "alice")
    assert member.opt_out == ("violence", "violence.graphic")


async def test_nobody_opts_out_of_what_does_not_exist_for_them(running, visitor):
    await visitor.sign_in(await running.person("alice"))
    assert "sexual.minors" not in (await visitor.get("/me")).text
    assert (await visitor.post("/me/opt-out", {"category": "sexual.minors"})).status_code == 400
