"""What a platform asks for, validated at the door: nothing malformed gets further."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from portcullis.v1 import checks_pb2 as pb
from portcullis.v1 import gateway_pb2 as api
from services.core.errors import InvalidInput
from services.core.policy.limit_rules import Operation

MAX_IMAGE_BYTES = 16 * 2**20
MAX_PROMPT_CHARACTERS = 4_000
MAX_ACCOUNT_CHARACTERS = 128
MAX_STEPS = 100
MAX_GUIDANCE = 30.0
MAX_SEED = 2**53 - 5  # each further picture takes the next seed, and JSON's numbers are exact below 2**53
MAX_COUNT: Mapping[pb.Operation.ValueType, int] = {
    pb.OPERATION_CREATE: 4,
    pb.OPERATION_EDIT: 3,
    pb.OPERATION_VARIATION: 3,
}
NAMES: Mapping[pb.Operation.ValueType, Operation] = {
    pb.OPERATION_CREATE: "create",
    pb.OPERATION_EDIT: "edit",
    pb.OPERATION_VARIATION: "variation",
}


@dataclass(frozen=True, slots=True)
class Order:
    """A creating request, complete: counts, seed and format are settled."""

    operation: pb.Operation.ValueType
    count: int
    seed: int
    size: int
    steps: int
    format: pb.ImageFormat.ValueType
    prompt: str = ""
    negative_prompt: str = ""
    image: bytes = b""
    mask: bytes = b""
    guidance: float = 0.0
    model: str = ""


def request_id(text: str) -> uuid.UUID:
    """The caller's id; raises InvalidInput unless it is a UUID."""
    try:
        return uuid.UUID(text)
    except ValueError:
        raise InvalidInput("request_id", "must be a UUID, one for each request") from None


def decision_id(text: str) -> uuid.UUID:
    """A decision's id; raises InvalidInput unless it is a UUID."""
    try:
        return uuid.UUID(text)
    except ValueError:
        raise InvalidInput("decision_id", "must be the UUID that Accepted gave") from None


def account(text: str) -> str:
    """The end user; raises InvalidInput unless 1–128 printable ASCII characters."""
    if not (1 <= len(text) <= MAX_ACCOUNT_CHARACTERS and text.isascii() and text.isprintable()):
        raise InvalidInput("account", f"must be 1–{MAX_ACCOUNT_CHARACTERS} printable ASCII characters")
    return text


def prompt(text: str) -> str:
    """The text, by length; its characters are the prompt filter's to judge."""
    if not text.strip():
        raise InvalidInput("prompt", f"is empty; 1–{MAX_PROMPT_CHARACTERS} characters are allowed")
    if len(text) > MAX_PROMPT_CHARACTERS:
        raise InvalidInput("prompt", f"has {len(text)} characters; at most {MAX_PROMPT_CHARACTERS} are allowed")
    return text


def negative_prompt(text: str) -> str:
    """What shall not be shown, by length; may be empty."""
    if len(text) > MAX_PROMPT_CHARACTERS:
        allowed = f"at most {MAX_PROMPT_CHARACTERS} are allowed"
        raise InvalidInput("negative_prompt", f"has {len(text)} characters; {allowed}")
    return text if text.strip() else ""


def picture(field: str, data: bytes) -> bytes:
    """A picture, by size; its format is the image filter's to judge."""
    if not data:
        raise InvalidInput(field, f"is empty; send JPEG, PNG, WebP or GIF of at most {MAX_IMAGE_BYTES} bytes")
    if len(data) > MAX_IMAGE_BYTES:
        raise InvalidInput(field, f"has {len(data)} bytes; at most {MAX_IMAGE_BYTES} are allowed")
    return data


def guidance(scale: float) -> float:
    """The scale, by range; 0 for the model's own."""
    if scale and not 1 <= scale <= MAX_GUIDANCE:  # true of NaN as well
        raise InvalidInput("guidance", f"is {scale}; 1–{MAX_GUIDANCE:.0f} are allowed, 0 for the model's default")
    return scale


def create(request: api.CreateImagesRequest) -> Order:
    """The order of a text-to-image request."""
    return _order(
        pb.OPERATION_CREATE,
        request,
        prompt=prompt(request.prompt),
        negative_prompt=negative_prompt(request.negative_prompt),
        size=request.size,
        guidance=guidance(request.guidance),
    )


def edit(request: api.EditImagesRequest) -> Order:
    """The order of an inpainting request."""
    return _order(
        pb.OPERATION_EDIT,
        request,
        prompt=prompt(request.prompt),
        negative_prompt=negative_prompt(request.negative_prompt),
        image=picture("image", request.image),
        mask=picture("mask", request.mask),
        guidance=guidance(request.guidance),
    )


def vary(request: api.VaryImagesRequest) -> Order:
    """The order of a variation request."""
    return _order(pb.OPERATION_VARIATION, request, image=picture("image", request.image))


def _order(
    operation: pb.Operation.ValueType,
    request: api.CreateImagesRequest | api.EditImagesRequest | api.VaryImagesRequest,
    *,
    size: int = 0,
    prompt: str = "",
    negative_prompt: str = "",
    image: bytes = b"",
    mask: bytes = b"",
    guidance: float = 0.0,
) -> Order:
    most = MAX_COUNT[operation]
    if request.count > most:
        raise InvalidInput("count", f"is {request.count}; 1–{most} are allowed, 0 for {most}")
    if request.steps > MAX_STEPS:
        raise InvalidInput("steps", f"is {request.steps}; 1–{MAX_STEPS} are allowed, 0 for the model's default")
    if request.seed > MAX_SEED:
        raise InvalidInput("seed", f"is {request.seed}; 0–{MAX_SEED} are allowed")
    if request.format not in pb.ImageFormat.values():
        raise InvalidInput("format", f"is {request.format}; PNG, JPEG and WEBP are allowed")
    return Order(
        operation=operation,
        count=request.count or most,
        seed=request.seed if request.HasField("seed") else secrets.randbelow(2**32),
        size=size,
        steps=request.steps,
        format=request.format or pb.IMAGE_FORMAT_PNG,
        prompt=prompt,
        negative_prompt=negative_prompt,
        image=image,
        mask=mask,
        guidance=guidance,
        model=request.model,
    )
