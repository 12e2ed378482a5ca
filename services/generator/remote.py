"""An engine elsewhere, asked over vLLM-Omni's images API: OpenAI's, with fields of its own for diffusion.

`POST /v1/images/generations` (JSON) and `POST /v1/images/edits` (multipart), as documented at
https://docs.vllm.ai/projects/vllm-omni ("Image Generation API", "Image Edit API"); `GET /health` and `GET /v1/models`,
as vLLM has them. What it answers is a stranger's: bounded, and decoded by the decoder that uploads go through.
"""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import httpx
import numpy as np
from PIL import Image
from pydantic import BaseModel, Field, ValidationError

from services.core.errors import (
    ConfigurationError,
    Exhausted,
    FailedPrecondition,
    InvalidInput,
    PortcullisError,
    Unavailable,
)
from services.core.imaging import LIMITS, sanitise
from services.core.imaging_png import write_png
from services.core.signals import ModelVersion
from services.generator.job import Job, Rgb
from services.generator.offer import Offer
from services.generator.region import Mask, Square, centre_square, put_back, square_around
from services.generator.remote_settings import RemoteSettings

CONNECT_SECONDS, CHECK_SECONDS = 5.0, 4.0
# One picture in base64, and what stands around it.
MOST_BYTES = LIMITS.max_bytes * 4 // 3 + 64 * 1024
# The API has no variations; an edit of the whole picture, by these words of ours, comes nearest.
VARY = "another version of this picture: the same scene, objects and colours, drawn anew"
LONGEST_HINT = 60.0
# The API's fields → ours, so that who asked is told what to mend.
FIELDS = {
    "prompt": "prompt",
    "negative_prompt": "negative_prompt",
    "image": "image",
    "mask_image": "mask",
    "size": "size",
    "num_inference_steps": "steps",
    "guidance_scale": "guidance",
    "seed": "seed",
}


class RemoteEngine:
    """Renders one picture a call, as many at once as it is asked to; may be used from one event loop alone."""

    def __init__(self, settings: RemoteSettings) -> None:
        """Raises ConfigurationError where the settings do not say which model it is, or name a CA that is none."""
        if not (settings.model and settings.version):
            raise ConfigurationError(
                "an engine elsewhere needs PORTCULLIS_GENERATOR_REMOTE_MODEL and PORTCULLIS_GENERATOR_REMOTE_VERSION",
                reason="BAD_SETTING",
            )
        self.offer = Offer(
            model=ModelVersion(settings.model, settings.version),
            operations=tuple(settings.operations),
            sizes=tuple(settings.sizes),
            steps=settings.steps,
            guidance=settings.guidance,
            words=(),
            device="remote",
            capability="remote",
        )
        key = settings.key.get_secret_value()
        self._client = httpx.AsyncClient(
            base_url=settings.url,
            headers={"accept-encoding": "identity", **({"authorization": f"Bearer {key}"} if key else {})},
            verify=_tls(settings),
            trust_env=False,
            timeout=httpx.Timeout(None, connect=CONNECT_SECONDS),  # the request's own deadline bounds the rest
            # A connection a call: closing it is the API's way to cancel, and none goes stale between two calls.
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=0),
        )

    async def close(self) -> None:
        """Closes all connections."""
        await self._client.aclose()

    async def check(self) -> None:
        """Raises PortcullisError unless the engine is well and serves the model."""
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                await self._ask("GET", "/health")
                served = _Models.model_validate_json(await self._ask("GET", "/v1/models"))
        except TimeoutError:
            raise Unavailable("the engine does not answer", reason="REMOTE_TIMEOUT") from None
        except ValidationError:
            raise _strange("its list of models is not one") from None
        if self.offer.model.name not in (names := [model.id for model in served.data]):
            raise FailedPrecondition(
                f"the engine serves {', '.join(names) or 'nothing'}, not {self.offer.model.name}", reason="REMOTE_MODEL"
            )

    async def draw(self, job: Job, index: int) -> Rgb:
        """Picture `index` of `job`, from seed + index; leaving the call closes the connection.

        One call a picture: the API promises nothing about the seeds of n pictures in one call, and picture i must come
        from seed + i alone. The engine may still batch them.
        """
        fields: dict[str, Any] = {
            "model": self.offer.model.name,
            "prompt": job.words or VARY,
            "n": 1,
            "size": f"{job.size}x{job.size}",
            "response_format": "b64_json",
            "num_inference_steps": job.steps,
            "seed": job.seed + index,
        }
        if job.unwanted:
            fields["negative_prompt"] = job.unwanted
        if job.guidance:
            fields["guidance_scale"] = job.guidance
        if job.image is None:
            body = await self._ask("POST", "/v1/images/generations", json=fields)
            return await asyncio.to_thread(_read_picture, body, job.size)
        square = centre_square(*job.image.shape[:2]) if job.mask is None else square_around(job.mask)
        files = await asyncio.to_thread(_files, job.image, job.mask, square, job.size)
        body = await self._ask("POST", "/v1/images/edits", data=fields, files=files)
        picture = await asyncio.to_thread(_read_picture, body, job.size)
        return picture if job.mask is None else await asyncio.to_thread(_mend, job.image, job.mask, square, picture)

    async def _ask(self, method: str, path: str, **content: Any) -> bytes:
        """The body of a good answer; raises what any other means."""
        try:
            async with self._client.stream(method, path, **content) as response:
                body = await _read(response)
        except httpx.HTTPError as error:
            raise Unavailable(
                f"the engine cannot be reached ({type(error).__name__})", reason="REMOTE_UNREACHABLE"
            ) from None
        if response.status_code != httpx.codes.OK:
            raise _refusal(response, body)
        return body


class _Model(BaseModel):
    id: str


class _Models(BaseModel):
    data: list[_Model]


class _Picture(BaseModel):
    b64_json: str


class _Answer(BaseModel):
    data: list[_Picture] = Field(min_length=1, max_length=1)


class _Invalid(BaseModel):
    """FastAPI's account of fields that are not valid."""

    class Place(BaseModel):
        """Where one stands, as ["body", "prompt"]."""

        loc: list[str | int]

    detail: list[Place] = Field(min_length=1)


def _tls(settings: RemoteSettings) -> Any:
    context = httpx.create_ssl_context(trust_env=False)
    if settings.ca is not None:
        try:
            context.load_verify_locations(settings.ca)
        except OSError as error:
            raise ConfigurationError(
                f"PORTCULLIS_GENERATOR_REMOTE_CA: {settings.ca} holds no certificates that can be read", reason="BAD_CA"
            ) from error
    return context


async def _read(response: httpx.Response) -> bytes:
    """The body as it came; raises Unavailable where it is larger than any picture may be."""
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > MOST_BYTES:
            raise _strange("it is too large")
    return bytes(body)


def _refusal(response: httpx.Response, body: bytes) -> PortcullisError:
    """What a bad status means to who asked; the engine's own words stay out, for they may hold a prompt's."""
    status = response.status_code
    if status == httpx.codes.TOO_MANY_REQUESTS:
        return Exhausted("the engine is busy", reason="REMOTE_BUSY", retry_after=_hint(response))
    if status == httpx.codes.SERVICE_UNAVAILABLE:
        return Unavailable("the engine is not ready", reason="REMOTE_NOT_READY", retry_after=_hint(response))
    if not 400 <= status < 500:
        return Unavailable(f"the engine failed (HTTP {status})", reason="REMOTE_FAILED")
    if field := _bad_field(body):
        return InvalidInput(field, "is not accepted by the model's engine")
    return FailedPrecondition(f"the engine refused the call (HTTP {status}); its log says why", reason="REMOTE_REFUSED")


def _hint(response: httpx.Response) -> float:
    """Seconds of Retry-After, within bounds; 1 where it says none."""
    text = response.headers.get("retry-after", "")
    return min(max(float(text), 1.0), LONGEST_HINT) if text.isdecimal() else 1.0


def _bad_field(body: bytes) -> str | None:
    """Which of our fields a validation error is about, if any."""
    try:
        places = _Invalid.model_validate_json(body).detail
    except ValidationError:
        return None
    return next((FIELDS[name] for place in places for name in place.loc if name in FIELDS), None)


def _files(image: Rgb, mask: Mask | None, square: Square, size: int) -> dict[str, tuple[str, bytes, str]]:
    """The square of the upload at the model's size, and of its mask (white may change) where there is one."""
    picture = Image.fromarray(square.cut(image)).resize((size, size), Image.Resampling.BICUBIC)
    files = {"image": ("image.png", write_png(np.asarray(picture)), "image/png")}
    if mask is not None:
        marked = Image.fromarray(square.cut(mask)).convert("L").resize((size, size), Image.Resampling.BOX)
        white = np.where(np.asarray(marked) > 0, 255, 0).astype(np.uint8)  # what may change in part may change
        files["mask_image"] = ("mask.png", write_png(white), "image/png")
    return files


def _mend(image: Rgb, mask: Mask, square: Square, picture: Rgb) -> Rgb:
    """The upload with what the mask frees from `picture`, and all else as it was, whatever the engine did there."""
    patch = Image.fromarray(picture).resize((square.side, square.side), Image.Resampling.BICUBIC)
    return put_back(image, mask, square, np.asarray(patch))


def _read_picture(body: bytes, size: int) -> Rgb:
    """The one picture (size, size, 3) of an answer; raises Unavailable where it is anything else."""
    try:
        data = base64.b64decode(_Answer.model_validate_json(body).data[0].b64_json, validate=True)
        picture = sanitise(data)
    except (InvalidInput, ValueError):
        raise _strange("it is not one picture") from None
    if picture.original != (size, size):
        raise _strange(f"its picture is {picture.width} × {picture.height} pixels, not {size} × {size}")
    return picture.rgb


def _strange(why: str) -> Unavailable:
    return Unavailable(f"the engine's answer is not as documented: {why}", reason="REMOTE_ANSWER")
