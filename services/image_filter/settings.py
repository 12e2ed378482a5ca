"""What can be set at the image filter."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic_settings import SettingsConfigDict

from services.core.config import RoomSettings

Channels = tuple[float, float, float]


class _Part(BaseModel):
    """A value inside a setting: written as a JSON object, an unknown key refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class OnnxFormat(_Part):
    """How a picture is made ready for an ONNX network, and what comes out of it.

    The picture is stretched to `resize` pixels a side (0: to `side`), passed through JPEG of that quality (0: not), its
    middle of `side` pixels cut out, and (value in 0…1 − mean) / std taken, both in the order red, green, blue.
    """

    side: int = Field(ge=16, le=1024)
    resize: int = Field(0, ge=0, le=2048)
    jpeg: int = Field(0, ge=0, le=100)
    mean: Channels = (0.5, 0.5, 0.5)
    std: Channels = (0.5, 0.5, 0.5)
    channels: Literal["rgb", "bgr"] = "rgb"
    layout: Literal["nchw", "nhwc"] = "nchw"
    outputs: Literal["logits", "independent logits", "probabilities"] = "logits"


class ClipEncoder(_Part):
    """An open_clip checkpoint (.safetensors) and its open_clip_config.json, each with its digest."""

    uri: str
    sha256: str
    config: str
    config_sha256: str


class ExplicitModel(_Part):
    """One detector of explicit content: a preset by name, a model by URI, or a preset of which something is changed."""

    preset: str = ""
    uri: str = ""
    sha256: str = ""
    labels: dict[str, str] = {}
    licence: str = ""
    onnx: OnnxFormat | None = None
    encoder: ClipEncoder | None = None


class ImageFilterSettings(RoomSettings):
    """Settings of the image filter."""

    model_config = SettingsConfigDict(env_prefix="PORTCULLIS_IMAGE_FILTER_")

    photo_model: str = Field(
        "models/photo/photo.onnx", description="Photograph-or-drawing network (ONNX); models/… ships with the house."
    )
    photo_model_sha256: str = Field("", description="Digest of a photo model that does not ship with the house.")
    explicit: list[str | ExplicitModel] = Field(
        ["nudenet"],
        description="Detectors of explicit content as JSON, each a preset's name or an object with uri, sha256 and "
        "labels, see docs/models.md; all look, the highest score counts.",
    )
    opinion_uri: str = Field(
        "",
        description="ShieldGemma 2 for a second opinion on doubtful pictures: a folder or hf://owner/name@commit.",
    )
    opinion_sha256: str = Field("", description="Digest of its folder, see docs/models.md.")
    text_finder_model: str = Field(
        "models/text/finder.onnx", description="Network that finds where text may stand (ONNX); ships with the house."
    )
    text_finder_model_sha256: str = Field("", description="Digest of a text finder that does not ship with the house.")
    banks_stale_seconds: float = Field(
        300.0, ge=5, le=86_400, description="Seconds that the banks may go unconfirmed before the room refuses."
    )
