"""The line before an engine elsewhere, against a real HTTP server that speaks vLLM-Omni's images API."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gzip
import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps
from starlette.responses import JSONResponse, Response, StreamingResponse

from services.core.errors import Exhausted, InvalidInput, PortcullisError, Unavailable
from services.core.rpc import tls
from services.generator.job import Job
from services.generator.remote import MOST_BYTES, VARY, RemoteEngine
from services.generator.remote_queue import RemoteQueue
from services.generator.remote_settings import RemoteSettings
from services.generator.render_queue import Load
from services.generator.ticket import Cancelled, Progress, Ticket
from tests.integration.images_api import (
    KEY,
    MODEL,
    Asked,
    Behaviour,
    ImagesApi,
    answered,
    draw,
    good,
    invalid,
    png,
    serving,
    until,
)

SIZE = 64
PROMPT = "a zanzibarquux"
JOB = Job("create", PROMPT, "", None, None, count=2, size=SIZE, steps=10, seed=7)
UPLOAD = np.random.default_rng(5).integers(0, 256, (90, 120, 3), dtype=np.uint8)
MASK = np.zeros((90, 120), bool)
MASK[20:70, 30:80] = True
EDIT = Job("edit", PROMPT, "", UPLOAD, MASK, count=1, size=SIZE, steps=10, seed=7)
VARIATION = Job("variation", "", "", UPLOAD, None, count=1, size=SIZE, steps=10, seed=7)


@pytest.fixture
def api() -> Iterator[ImagesApi]:
    with serving(ImagesApi()) as api:
        yield api


@pytest.fixture
def authority(tmp_path: Path) -> Path:
    tls.create_ca(tmp_path)
    tls.issue_certificate(tmp_path, "engine")
    return tmp_path


def known(api: ImagesApi) -> dict[str, object]:
    return {"url": api.url, "model": MODEL, "version": "r1", "sizes": [SIZE], "key": KEY}


NewQueue = Callable[..., RemoteQueue]


@pytest.fixture
def new_queue(api: ImagesApi) -> Iterator[NewQueue]:
    opened: list[RemoteQueue] = []

    def new(**settings: object) -> RemoteQueue:
        engine = RemoteEngine(RemoteSettings(**(known(api) | settings)))
        opened.append(RemoteQueue(engine, limit=3, pixel_limit=50_000, at_once=1))
        return opened[-1]

    yield new
    for queue in opened:
        queue.close()


@pytest.fixture
def queue(new_queue: NewQueue) -> RemoteQueue:
    queue = new_queue()
    until(lambda: is_well(queue))
    return queue


def is_well(queue: RemoteQueue) -> bool:
    try:
        queue.check()
    except Unavailable:
        return False
    return True


def submit(
    queue: RemoteQueue,
    job: Job = JOB,
    seconds: float = 30,
    tell: Callable[[Progress], None] = lambda _: None,
    tenant: str = "acme",
) -> Ticket:
    return queue.submit(job, tenant, "trusted", seconds, tell)


def render(queue: RemoteQueue, job: Job = JOB) -> list[np.ndarray]:
    return submit(queue, job).result.result(30).pictures


def failure(queue: RemoteQueue, job: Job = JOB, seconds: float = 30) -> PortcullisError:
    error = submit(queue, job, seconds).result.exception(30)
    assert isinstance(error, PortcullisError)
    return error


async def hang(_asked: Asked) -> Response:
    await asyncio.sleep(60)
    return Response()


def says(response: Callable[[], Response]) -> Behaviour:
    async def behave(_asked: Asked) -> Response:
        return response()

    return behave


def test_each_picture_comes_from_a_seed_of_its_own(api: ImagesApi, queue: RemoteQueue) -> None:
    pictures = render(queue)
    drawn = {asked.seed: np.asarray(draw(asked)) for asked in api.asked}
    assert sorted(drawn) == [7, 8]
    assert all(np.array_equal(picture, drawn[7 + index]) for index, picture in enumerate(pictures))


def test_a_new_picture_is_asked_for_as_documented(api: ImagesApi, queue: RemoteQueue) -> None:
    render(queue, replace(JOB, unwanted="fog", count=1, guidance=4.5))
    assert api.asked[0].path == "/v1/images/generations"
    assert api.asked[0].fields == {
        "model": MODEL,
        "prompt": PROMPT,
        "negative_prompt": "fog",
        "n": 1,
        "size": "64x64",
        "response_format": "b64_json",
        "num_inference_steps": 10,
        "guidance_scale": 4.5,
        "seed": 7,
    }


def test_an_edit_is_asked_for_with_the_square_around_its_mask(api: ImagesApi, queue: RemoteQueue) -> None:
    render(queue, EDIT)
    asked = api.asked[0]
    assert asked.path == "/v1/images/edits"
    assert {name: picture.size for name, picture in asked.files.items()} == {
        "image": (SIZE, SIZE),
        "mask_image": (SIZE, SIZE),
    }
    assert sorted(set(np.asarray(asked.files["mask_image"]).flat)) == [0, 255]


def test_an_edit_changes_nothing_outside_its_mask_whatever_the_engine_did(queue: RemoteQueue) -> None:
    (edited,) = render(queue, EDIT)
    assert np.array_equal(edited[~MASK], UPLOAD[~MASK])


def test_an_edit_shows_what_the_engine_drew_inside_its_mask(queue: RemoteQueue) -> None:
    plain = np.full((90, 120, 3), 40, np.uint8)
    (edited,) = render(queue, replace(EDIT, image=plain))
    assert np.all(edited[MASK] == 255 - 40)


def test_a_variation_is_an_edit_of_the_whole_by_words_of_ours(api: ImagesApi, queue: RemoteQueue) -> None:
    (picture,) = render(queue, VARIATION)
    asked = api.asked[0]
    assert (asked.path, set(asked.files), asked.fields["prompt"]) == ("/v1/images/edits", {"image"}, VARY)
    assert np.array_equal(picture, np.asarray(ImageOps.invert(asked.files["image"])))


def test_a_request_hears_its_place_and_each_picture(api: ImagesApi, queue: RemoteQueue) -> None:
    told: list[Progress] = []
    submit(queue, tell=told.append).result.result(30)
    assert told == [Progress(0), Progress(0, 0, 10), Progress(0, 5, 10), Progress(0, 10, 10)]


def test_what_was_asked_for_is_told(queue: RemoteQueue) -> None:
    rendered = submit(queue, replace(JOB, guidance=4.5)).result.result(30)
    assert (rendered.steps, rendered.guidance) == (10, 4.5)


def test_giving_up_closes_the_connections(api: ImagesApi, queue: RemoteQueue) -> None:
    api.behave = hang
    ticket = submit(queue)
    until(lambda: len(api.asked) == 2)
    queue.cancel(ticket)
    assert isinstance(ticket.result.exception(1), Cancelled)
    until(lambda: api.left == 2)
    assert (queue.load().running, queue.load().queued) == (0, 0)


def test_giving_up_while_waiting_asks_nothing(api: ImagesApi, queue: RemoteQueue) -> None:
    api.behave = hang
    submit(queue)
    waiting = submit(queue, EDIT)
    queue.cancel(waiting)
    assert isinstance(waiting.result.exception(1), Cancelled)
    until(lambda: len(api.asked) == 2)
    assert {asked.path for asked in api.asked} == {"/v1/images/generations"}


@pytest.fixture
def go(api: ImagesApi) -> Iterator[threading.Event]:
    """Until it is set the engine draws nothing."""
    go = threading.Event()

    async def when_told(asked: Asked) -> Response:
        await asyncio.to_thread(go.wait, 30)
        return good(draw(asked))

    api.behave = when_told
    yield go
    go.set()


def test_those_behind_move_up(queue: RemoteQueue, go: threading.Event) -> None:
    told: list[Progress] = []
    submit(queue)
    submit(queue)
    last = submit(queue, tell=told.append)
    go.set()
    last.result.result(30)
    assert [progress.ahead for progress in told[:2]] == [1, 0]


def test_a_tenant_that_asks_for_much_waits_behind_itself(
    api: ImagesApi, queue: RemoteQueue, go: threading.Event
) -> None:
    one = replace(JOB, count=1, steps=20)
    submit(queue, one, tenant="greedy")
    submit(queue, replace(one, seed=100), tenant="greedy")
    last = submit(queue, replace(one, seed=200), tenant="greedy")
    submit(queue, replace(one, seed=300), tenant="modest")
    go.set()
    last.result.result(30)
    assert [asked.seed for asked in api.asked] == [7, 100, 300, 200]


def test_one_picture_that_fails_ends_the_others(api: ImagesApi, queue: RemoteQueue) -> None:
    async def half(asked: Asked) -> Response:
        return Response(status_code=500) if asked.seed == 8 else await hang(asked)

    api.behave = half
    assert failure(queue).reason == "REMOTE_FAILED"
    until(lambda: api.left == 1)


def test_a_call_that_hangs_ends_with_the_deadline(api: ImagesApi, queue: RemoteQueue) -> None:
    api.behave = hang
    assert failure(queue, seconds=0.5).code == "DEADLINE_EXCEEDED"
    until(lambda: api.left == 2)


def test_an_answer_that_trickles_ends_with_the_deadline(api: ImagesApi, queue: RemoteQueue) -> None:
    async def drops():
        while True:
            yield b" "
            await asyncio.sleep(0.05)

    api.behave = says(lambda: StreamingResponse(drops()))
    assert failure(queue, seconds=0.5).code == "DEADLINE_EXCEEDED"


STATUSES = {
    "busy": (Response(status_code=429), "RESOURCE_EXHAUSTED", "REMOTE_BUSY"),
    "not initialised": (Response(status_code=503), "UNAVAILABLE", "REMOTE_NOT_READY"),
    "failed": (JSONResponse({"detail": f"cannot draw {PROMPT}"}, 500), "UNAVAILABLE", "REMOTE_FAILED"),
    "elsewhere": (Response(status_code=307, headers={"location": "/health"}), "UNAVAILABLE", "REMOTE_FAILED"),
    "no such path": (Response(status_code=404), "FAILED_PRECONDITION", "REMOTE_REFUSED"),
    "not in its size": (JSONResponse({"detail": f"{PROMPT}?"}, 400), "FAILED_PRECONDITION", "REMOTE_REFUSED"),
    "an unknown field": (invalid("colour"), "FAILED_PRECONDITION", "REMOTE_REFUSED"),
    "a field": (invalid("num_inference_steps"), "INVALID_ARGUMENT", "INVALID_INPUT"),
}


@pytest.mark.parametrize("name", STATUSES)
def test_a_bad_status_is_told_without_the_engines_words(api: ImagesApi, queue: RemoteQueue, name: str) -> None:
    response, code, reason = STATUSES[name]
    api.behave = says(lambda: response)
    error = failure(queue)
    assert (error.code, error.reason) == (code, reason)
    assert PROMPT not in error.message


def test_a_field_that_is_refused_is_named_as_ours(api: ImagesApi, queue: RemoteQueue) -> None:
    api.behave = says(lambda: invalid("mask_image"))
    error = failure(queue, EDIT)
    assert isinstance(error, InvalidInput)
    assert error.violation.field == "mask"


@pytest.mark.parametrize(("said", "hint"), [("7", 7), ("0", 1), ("86400", 60), ("soon", 1), ("²", 1), ("", 1)])
def test_the_engines_hint_is_passed_on_within_bounds(
    api: ImagesApi, queue: RemoteQueue, said: str, hint: float
) -> None:
    api.behave = says(lambda: Response(status_code=429, headers={"retry-after": said}))
    assert failure(queue).retry_after == hint


PLAIN = Image.new("RGB", (SIZE, SIZE), "red")


def _picture(data: bytes) -> Response:
    return answered(base64.b64encode(data).decode())


async def _flood():
    yield b'{"data": [{"b64_json": "'
    for _ in range(MOST_BYTES // 2**20 + 1):
        yield b"A" * 2**20


STRANGE: dict[str, Callable[[], Response]] = {
    "no JSON": lambda: Response(b"\xff\xfe" * 50),
    "JSON of another kind": lambda: JSONResponse([1]),
    "JSON too deep": lambda: Response(b"[" * 100_000),
    "no picture": lambda: answered(),
    "two pictures": lambda: good(PLAIN, PLAIN),
    "an address instead": lambda: JSONResponse({"data": [{"url": "http://127.0.0.1/", "b64_json": None}]}),
    "not base64": lambda: answered("%%%"),
    "not a picture": lambda: _picture(b"GIF, but not really"),
    "a picture cut short": lambda: _picture(png(PLAIN)[:-20]),
    "another size": lambda: good(Image.new("RGB", (SIZE, SIZE + 1))),
    "more than is read": lambda: StreamingResponse(_flood()),
    "packed though not asked for": lambda: Response(gzip.compress(good(PLAIN).body), headers=PACKED),
}
PACKED = {"content-encoding": "gzip"}


@pytest.mark.parametrize("name", STRANGE)
def test_a_strange_answer_is_no_picture(api: ImagesApi, queue: RemoteQueue, name: str) -> None:
    api.behave = says(STRANGE[name])
    error = failure(queue)
    assert (error.code, error.reason) == ("UNAVAILABLE", "REMOTE_ANSWER")


def test_what_a_picture_carries_along_is_gone(api: ImagesApi, queue: RemoteQueue) -> None:
    hidden = Image.new("RGBA", (SIZE, SIZE), (200, 0, 0, 0))
    api.behave = says(lambda: good(hidden))
    assert all(np.all(picture == 255) for picture in render(queue))


def test_after_a_failure_the_next_request_is_served(api: ImagesApi, queue: RemoteQueue) -> None:
    api.behave = says(lambda: Response(status_code=500))
    failure(queue)
    api.behave = None
    assert len(render(queue)) == 2


def test_a_full_line_refuses_with_a_hint(queue: RemoteQueue, go: threading.Event) -> None:
    for _ in range(4):
        submit(queue)
    with pytest.raises(Exhausted) as refusal:
        submit(queue)
    assert (refusal.value.reason, refusal.value.retry_after) == ("QUEUE_FULL", 1)


def test_a_line_full_of_pixels_refuses(queue: RemoteQueue, go: threading.Event) -> None:
    submit(queue)
    with pytest.raises(Exhausted) as refusal:
        submit(queue, replace(JOB, size=256))
    assert refusal.value.reason == "QUEUE_FULL"


def test_the_load_is_true(queue: RemoteQueue, go: threading.Event) -> None:
    submit(queue)
    submit(queue)
    assert queue.load() == Load(queued=1, running=1, limit=3)


def test_a_deadline_that_the_measured_rate_cannot_meet_is_refused_at_once(api: ImagesApi, queue: RemoteQueue) -> None:
    async def slowly(asked: Asked) -> Response:
        await asyncio.sleep(0.5)
        return good(draw(asked))

    api.behave = slowly
    render(queue)
    with pytest.raises(Exhausted) as refusal:
        submit(queue, seconds=0.3)
    assert refusal.value.reason == "DEADLINE_TOO_SHORT"
    assert len(api.asked) == 2


def test_a_slow_start_does_not_refuse_for_ever(api: ImagesApi, queue: RemoteQueue) -> None:
    async def slowly(asked: Asked) -> Response:
        await asyncio.sleep(1)
        return good(draw(asked))

    api.behave = slowly
    render(queue)

    def is_taken() -> bool:
        with contextlib.suppress(Exhausted):
            submit(queue, seconds=0.5)
            return True
        return False

    assert not is_taken()
    until(is_taken)


def test_an_engine_that_falls_ill_gets_nothing_until_it_is_well(api: ImagesApi, queue: RemoteQueue) -> None:
    api.healthy = False
    until(lambda: not is_well(queue))
    with pytest.raises(Unavailable):
        submit(queue)
    api.healthy = True
    until(lambda: is_well(queue))
    assert len(render(queue)) == 2


def why_not(**settings: object) -> str:
    """The reason for which the engine counts as not well."""

    async def check() -> None:
        engine = RemoteEngine(RemoteSettings(**settings))
        try:
            await engine.check()
        finally:
            await engine.close()

    with pytest.raises(PortcullisError) as refusal:
        asyncio.run(check())
    return refusal.value.reason


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"model": "acme/sculptor"}, "REMOTE_MODEL"),
        ({"key": "another"}, "REMOTE_REFUSED"),
        ({"key": ""}, "REMOTE_REFUSED"),
        ({"url": "http://127.0.0.1:9"}, "REMOTE_UNREACHABLE"),
    ],
)
def test_an_engine_that_is_not_the_one_that_was_meant_is_not_used(
    api: ImagesApi, settings: dict[str, str], reason: str
) -> None:
    assert why_not(**(known(api) | settings)) == reason


def test_the_certificate_of_an_unknown_authority_is_not_trusted(authority: Path) -> None:
    with serving(ImagesApi(), authority) as api:
        assert why_not(**known(api)) == "REMOTE_UNREACHABLE"


def test_a_private_authority_is_trusted_where_it_is_named(new_queue: NewQueue, authority: Path) -> None:
    with serving(ImagesApi(), authority) as api:
        queue = new_queue(url=api.url, ca=authority / "ca.pem")
        until(lambda: is_well(queue))
        assert len(render(queue)) == 2


def test_no_log_holds_the_key_or_the_words(
    api: ImagesApi, queue: RemoteQueue, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    render(queue)
    api.behave = says(lambda: JSONResponse({"detail": PROMPT}, 400))
    failure(queue)
    written = "".join([caplog.text, *capfd.readouterr()])
    assert "/v1/images/generations" in written
    assert [secret for secret in (KEY, PROMPT) if secret in written] == []


def test_after_closing_nothing_is_taken_and_nothing_goes_on(api: ImagesApi, queue: RemoteQueue) -> None:
    api.behave = hang
    tickets = [submit(queue) for _ in range(2)]
    until(lambda: len(api.asked) == 2)
    queue.close()
    assert all(isinstance(ticket.result.exception(1), Cancelled) for ticket in tickets)
    until(lambda: api.left == 2)
    with pytest.raises(Unavailable):
        submit(queue)
