"""What can be said of a call besides its content, and what a creating call answers with."""

from __future__ import annotations

from typing import Required, TypedDict

from portcullis.v1.checks_pb2 import ImageFormat
from portcullis.v1.gateway_pb2 import (
    Accepted,
    CreateImagesResponse,
    Done,
    EditImagesResponse,
    Held,
    Image,
    Progress,
    Refused,
    ResumeDecisionResponse,
    VaryImagesResponse,
)

Event = Accepted | Progress | Image | Refused | Held | Done
Response = CreateImagesResponse | EditImagesResponse | VaryImagesResponse | ResumeDecisionResponse


class Caller(TypedDict, total=False):
    """For whom: `account` is the end user's opaque id; `request_id` a UUID that makes the call idempotent."""

    account: Required[str]
    request_id: str


class Rendering(Caller, total=False):
    """How to draw: pictures wanted, seed of the first (None for a random one), denoising steps, encoding.

    `model` names the one that shall draw ("scenes", "scenes/1"), the one that is there where it is left out.
    """

    count: int
    seed: int | None
    steps: int
    format: ImageFormat.ValueType
    model: str


class WordedRendering(Rendering, total=False):
    """How to draw from words: `guidance` away from the negative prompt, 1 (without) … 30."""

    guidance: float


class SizedRendering(WordedRendering, total=False):
    """How to draw from nothing: `size` is the side in pixels, one of the model's."""

    size: int


def event_of(response: Response) -> Event | None:
    """What happened, as its own type; None for a kind that this client is too old to know."""
    kind = response.event.WhichOneof("kind")
    event: Event | None = getattr(response.event, kind) if kind else None
    return event
