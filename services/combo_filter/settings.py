"""What can be set at the combo filter."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from services.core.config import RoomSettings


class ComboFilterSettings(RoomSettings):
    """Settings of the combo filter."""

    model_config = SettingsConfigDict(env_prefix="PORTCULLIS_COMBO_FILTER_")

    joint_encoder: str = Field(
        "", description="URI of an open_clip checkpoint (.safetensors); empty: caution instead of sight."
    )
    joint_encoder_sha256: str = Field("", description="Digest of the checkpoint, 64 hex digits.")
    joint_encoder_config: str = Field("", description="URI of the checkpoint's open_clip_config.json.")
    joint_encoder_config_sha256: str = Field("", description="Digest of that file, 64 hex digits.")
    joint_encoder_tokenizer: str = Field(
        "", description="URI of its tokenizer.json, where the configuration names another tokenizer than CLIP's own."
    )
    joint_encoder_tokenizer_sha256: str = Field("", description="Digest of that file, 64 hex digits.")
