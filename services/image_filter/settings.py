"""What can be set at the image filter."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from services.core.config import RoomSettings


class ImageFilterSettings(RoomSettings):
    """Settings of the image filter."""

    model_config = SettingsConfigDict(env_prefix="PORTCULLIS_IMAGE_FILTER_")

    photo_model: str = Field(
        "models/photo/photo.onnx", description="Photograph-or-drawing network (ONNX); models/… ships with the house."
    )
    photo_model_sha256: str = Field("", description="Digest of a photo model that does not ship with the house.")
    text_finder_model: str = Field(
        "models/text/finder.onnx", description="Network that finds where text may stand (ONNX); ships with the house."
    )
    text_finder_model_sha256: str = Field("", description="Digest of a text finder that does not ship with the house.")
    banks_stale_seconds: float = Field(
        300.0, ge=5, le=86_400, description="Seconds that the banks may go unconfirmed before the room refuses."
    )
