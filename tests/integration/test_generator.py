"""The generator as a real server: real TLS, clearances and model."""

from __future__ import annotations

import asyncio
import hashlib
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path

import grpc
import numpy as np
import pytest
import pytest_asyncio
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from PIL import Image

from portcullis.v1 import checks_pb2, generator_pb2_grpc
from portcullis.v1 import generator_pb2 as pb
from services.core import clearance
from services.core.clearance import Claim, ClearanceSigner
from services.core.config import HouseSettings
from services.core.policy.categories import Stage
from services.core.rpc import server as servers
from services.core.rpc import tls
from services.core.rpc.channel import connect
from services.generator.__main__ import build

PROMPT = "a red circle on a white background"
SUBJECT = checks_pb2.Subject(tenant="demo", account="someone")
ISSUERS: Mapping[Stage, str] = {"prompt": "prompt_filter", "upload": "image_filter", "pair": "combo_filter"}
pytestmark = pytest.mark.asyncio(loop_scope="module")
Stub = generator_pb2_grpc.GeneratorServiceStub


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def png(pixels: np.ndarray) -> bytes:
    file = BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


UPLOAD = png(np.random.default_rng(5).integers(0, 256, (90, 120, 3), dtype=np.uint8))
_MARKED = np.zeros((90, 120), np.uint8)
_MARKED[20:70, 30:80] = 255
MASK = png(_MARKED)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    tls.create_ca(home / "tls")
    for identity in ("gateway", "generator", "image_filter"):
        tls.issue_certificate(home / "tls", identity)
    clearance.create_keys(home / "keys" / "clearance")
    return home


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(home: Path, new_port_base: Callable[[], int]) -> AsyncIterator[HouseSettings]:
    base = new_port_base()
    settings = HouseSettings(home=home, port_base=base, drain_seconds=1)
    stopping = asyncio.Event()
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PORTCULLIS_GENERATOR_METRICS_PORT", "0")
        environment.setenv("PORTCULLIS_GENERATOR_QUEUE_LIMIT", "1")
        environment.setattr("services.generator.pace.MOST_ROWS", 8)  # as a machine that four guided pictures fill
        task = asyncio.create_task(servers.serve("generator", build, settings, stopping))
        yield settings
        stopping.set()
        await task


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stub(house: HouseSettings) -> AsyncIterator[Stub]:
    async with connect(house, "gateway", "generator") as channel:
        stub = Stub(channel)
        await stub.GetLoad(pb.GetLoadRequest(), timeout=170, wait_for_ready=True)
        yield stub


def cleared(
    home: Path,
    stage: Stage,
    *,
    account: str = "someone",
    lifetime: float = 60,
    issued: datetime | None = None,
    **inputs: bytes,
) -> str:
    signer = ClearanceSigner.load(home / "keys" / "clearance", ISSUERS[stage], timedelta(seconds=lifetime))
    digests = {name: sha256(content) for name, content in inputs.items()}
    return signer.issue(Claim("demo", account, stage, digests, "policy"), issued)


def creation(home: Path, **changes: object) -> pb.GenerateRequest:
    fields = {
        "subject": SUBJECT,
        "operation": checks_pb2.OPERATION_CREATE,
        "prompt": PROMPT,
        "count": 2,
        "seed": 11,
        "clearances": [cleared(home, "prompt", prompt=PROMPT.encode())],
    }
    return pb.GenerateRequest(**{**fields, **changes})


def edition(home: Path, mask: bytes = MASK) -> pb.GenerateRequest:
    text = PROMPT.encode()
    tokens = [
        cleared(home, "prompt", prompt=text),
        cleared(home, "upload", image=UPLOAD, mask=mask),
        cleared(home, "pair", prompt=text, image=UPLOAD, mask=mask),
    ]
    return creation(home, operation=checks_pb2.OPERATION_EDIT, image=UPLOAD, mask=mask, count=1, clearances=tokens)


async def render(stub: Stub, request: pb.GenerateRequest) -> list[pb.GenerateResponse]:
    return [event async for event in stub.Generate(request, timeout=60)]


async def refusal(awaitable: Awaitable[object]) -> tuple[grpc.StatusCode, str]:
    """The status code and the reason of ErrorInfo, or the field of BadRequest."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await awaitable
    error = caught.value
    status = rpc_status.from_call(_Sync(error))
    info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    for detail in status.details if status else ():
        if detail.Unpack(bad):
            return error.code(), bad.field_violations[0].field
        detail.Unpack(info)
    return error.code(), info.reason


class _Sync:
    """An AioRpcError as the synchronous helper of grpc_status expects one; the asynchronous one fails on it."""

    def __init__(self, error: grpc.aio.AioRpcError) -> None:
        self.trailing_metadata = lambda: error.trailing_metadata()
        self.code = lambda: error.code()
        self.details = lambda: error.details()


def pixels(image: bytes) -> np.ndarray:
    with Image.open(BytesIO(image)) as picture:
        assert not picture.info
        return np.asarray(picture.convert("RGB"))


async def test_a_cleared_prompt_becomes_pictures(stub: Stub, home: Path) -> None:
    events = await render(stub, creation(home))
    steps = [event.progress.step for event in events if event.HasField("progress")]
    images = [event.image for event in events if event.HasField("image")]
    assert steps[:-1] == list(range(len(steps) - 1))
    assert events[len(steps) - 1].progress.decoding
    assert [(image.index, image.seed) for image in images] == [(0, 11), (1, 12)]
    assert [pixels(image.image).shape for image in images] == [(256, 256, 3)] * 2
    assert images[0].image != images[1].image
    assert images[0].request_digest == images[1].request_digest


async def test_the_answer_says_how_the_picture_was_made(stub: Stub, home: Path) -> None:
    image = (await render(stub, creation(home, count=1, steps=5, guidance=3.0)))[-1].image
    assert image.parameters == checks_pb2.Parameters(steps=5, guidance=3.0, size=256, scheduler="DDIMScheduler")
    assert image.capability == "embedded-scenes"


async def test_the_same_request_gives_the_same_bytes(stub: Stub, home: Path) -> None:
    first, second = await render(stub, creation(home)), await render(stub, creation(home))
    assert first[-1].image.image == second[-1].image.image


async def test_a_cleared_negative_prompt_changes_the_picture(stub: Stub, home: Path) -> None:
    token = cleared(home, "prompt", prompt=PROMPT.encode(), negative_prompt=b"blue square")

    plain = await render(stub, creation(home, guidance=2.0))
    steered = await render(stub, creation(home, guidance=2.0, negative_prompt="blue square", clearances=[token]))

    assert plain[-1].image.image != steered[-1].image.image
    assert plain[-1].image.request_digest != steered[-1].image.request_digest


@pytest.mark.parametrize(("asked", "bound"), [("blue square", {}), ("", {"negative_prompt": b"blue square"})])
async def test_a_clearance_of_another_negative_prompt_is_refused(
    stub: Stub, home: Path, asked: str, bound: dict[str, bytes]
) -> None:
    token = cleared(home, "prompt", prompt=PROMPT.encode(), **bound)
    found = await refusal(render(stub, creation(home, negative_prompt=asked, clearances=[token])))
    assert found == (grpc.StatusCode.PERMISSION_DENIED, "CLEARANCE_DIGEST")


async def test_an_edit_leaves_the_rest_bit_exact(stub: Stub, home: Path) -> None:
    edited = pixels((await render(stub, edition(home)))[-1].image.image)
    kept = _MARKED == 0
    assert np.array_equal(edited[kept], pixels(UPLOAD)[kept])


async def test_a_variation_needs_the_upload_alone(stub: Stub, home: Path) -> None:
    request = creation(
        home,
        operation=checks_pb2.OPERATION_VARIATION,
        prompt="",
        image=UPLOAD,
        clearances=[cleared(home, "upload", image=UPLOAD)],
    )
    assert pixels((await render(stub, request))[-1].image.image).shape == (256, 256, 3)


async def test_unknown_words_are_told(stub: Stub, home: Path) -> None:
    prompt = "a crimson ball"
    request = creation(home, prompt=prompt, count=1, clearances=[cleared(home, "prompt", prompt=prompt.encode())])
    assert list((await render(stub, request))[-1].image.substitutions) == ["crimson→red", "ball→circle"]


TOKENS: dict[str, tuple[Callable[[Path], list[str]], str]] = {
    "none": (lambda _home: [], "CLEARANCE_MISSING"),
    "nonsense": (lambda _home: ["nonsense"], "CLEARANCE_INVALID"),
    "another prompt's": (lambda home: [cleared(home, "prompt", prompt=b"a star")], "CLEARANCE_DIGEST"),
    "another account's": (
        lambda home: [cleared(home, "prompt", account="other", prompt=PROMPT.encode())],
        "CLEARANCE_SUBJECT",
    ),
    "an expired one": (
        lambda home: [
            cleared(home, "prompt", issued=datetime.now(UTC) - timedelta(minutes=10), prompt=PROMPT.encode())
        ],
        "CLEARANCE_EXPIRED",
    ),
    "one of another stage": (lambda home: [cleared(home, "upload", prompt=PROMPT.encode())], "CLEARANCE_MISSING"),
}


@pytest.mark.parametrize("name", TOKENS)
async def test_without_the_right_clearance_nothing_is_rendered(stub: Stub, home: Path, name: str) -> None:
    tokens, reason = TOKENS[name]
    request = creation(home, clearances=tokens(home))
    assert await refusal(render(stub, request)) == (grpc.StatusCode.PERMISSION_DENIED, reason)


async def test_a_clearance_signed_by_another_key_is_refused(stub: Stub, home: Path, tmp_path: Path) -> None:
    clearance.create_keys(tmp_path / "keys" / "clearance")
    request = creation(home, clearances=[cleared(tmp_path, "prompt", prompt=PROMPT.encode())])
    assert await refusal(render(stub, request)) == (grpc.StatusCode.PERMISSION_DENIED, "CLEARANCE_INVALID")


@pytest.mark.parametrize("missing", [0, 1, 2])
async def test_an_edit_needs_all_three_clearances(stub: Stub, home: Path, missing: int) -> None:
    request = edition(home)
    del request.clearances[missing]
    assert (await refusal(render(stub, request)))[0] == grpc.StatusCode.PERMISSION_DENIED


async def test_another_service_may_not_call(house: HouseSettings, stub: Stub, home: Path) -> None:
    async with connect(house, "image_filter", "generator") as channel:
        code, reason = await refusal(render(Stub(channel), creation(home)))
    assert (code, reason) == (grpc.StatusCode.PERMISSION_DENIED, "CALLER_NOT_ALLOWED")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("count", 5),
        ("size", 100),
        ("steps", 101),
        ("steps", 10_000),
        ("seed", 2**53),
        ("guidance", math.nan),
        ("guidance", 31.0),
        ("model", "another"),
        ("operation", 0),
        ("prompt", ""),
        ("image", b"x"),
    ],
)
async def test_a_bad_field_is_named(stub: Stub, home: Path, field: str, value: object) -> None:
    request = creation(home, **{field: value})
    assert await refusal(render(stub, request)) == (grpc.StatusCode.INVALID_ARGUMENT, field)


@pytest.mark.parametrize("marks", ["another size", "nothing", "everything"])
async def test_a_mask_that_makes_no_edit_is_refused(stub: Stub, home: Path, marks: str) -> None:
    masks = {"another size": _MARKED[:80], "nothing": _MARKED * 0, "everything": _MARKED * 0 + 255}
    assert await refusal(render(stub, edition(home, png(masks[marks])))) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "mask",
    )


async def test_another_picture_than_the_cleared_one_is_refused(stub: Stub, home: Path) -> None:
    request = edition(home)
    request.image = png(pixels(UPLOAD) // 2)
    assert await refusal(render(stub, request)) == (grpc.StatusCode.PERMISSION_DENIED, "CLEARANCE_DIGEST")


async def test_a_deadline_that_cannot_be_met_is_refused_at_once(stub: Stub, home: Path) -> None:
    code, reason = await refusal(_rendered_within(1.0, stub, creation(home, count=4, steps=100)))
    assert (code, reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "DEADLINE_TOO_SHORT")


async def _rendered_within(seconds: float, stub: Stub, request: pb.GenerateRequest) -> list[pb.GenerateResponse]:
    return [event async for event in stub.Generate(request, timeout=seconds)]


async def test_leaving_the_call_frees_the_place(stub: Stub, home: Path) -> None:
    call = stub.Generate(creation(home, count=4, steps=100), timeout=110)
    async for event in call:
        if event.progress.step >= 1:
            break
    call.cancel()
    # It would run for longer than this unless it stopped.
    async with asyncio.timeout(5):
        await render(stub, creation(home, count=1, steps=1))
        load = await stub.GetLoad(pb.GetLoadRequest(), timeout=5)
        while (load.running, load.queued) != (0, 0):  # a place is given back a moment after its answer
            load = await stub.GetLoad(pb.GetLoadRequest(), timeout=5)


async def test_a_full_line_refuses_with_a_retry_hint(stub: Stub, home: Path) -> None:
    long = creation(home, count=4, steps=30, guidance=2.0)  # two of them fill the machine
    calls = [stub.Generate(long, timeout=110) for _ in range(2)]
    for call in calls:
        assert (await call.read()).HasField("progress")
    code, reason = await refusal(render(stub, creation(home)))
    for call in calls:
        call.cancel()
    assert (code, reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "QUEUE_FULL")


async def test_capabilities_say_what_the_model_is(stub: Stub) -> None:
    said = await stub.GetCapabilities(pb.GetCapabilitiesRequest(), timeout=5)
    assert list(said.capabilities) == ["embedded-scenes"]
    assert {"red", "circle", "above"} <= set(said.vocabulary)
    assert list(said.sizes) == [256]
