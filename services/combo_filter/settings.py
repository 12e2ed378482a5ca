"""What can be set at the combo filter."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from services.core.config import RoomSettings


class ComboFilterSettings(RoomSettings):
    """Settings of the combo filter."""

    model_config = SettingsConfigDict(env_prefix="PORTCULLIS_COMBO_FILTER_")

    concepts: Path | None = Field(
        None, description="A concept bank (YAML) instead of the room's own; read again when it changes."
    )
    edit_encoder: str = Field("models/edits/encoder.onnx", description="What reads an edit's words (ONNX).")
    edit_encoder_sha256: str = Field("", description="Its digest, 64 hex digits; empty for the one that ships.")
    edit_tokenizer: str = Field("models/edits/tokenizer.json", description="Its tokenizer (Hugging Face tokenizers).")
    edit_tokenizer_sha256: str = Field("", description="Its digest.")
    edit_heads: str = Field("models/edits/heads.npz", description="What it tells: labels and their heads.")
    edit_heads_sha256: str = Field("", description="Its digest.")
    joint_encoder: str = Field(
        "",
        description="URI of an open_clip checkpoint: .safetensors, or .onnx for the half that sees pictures. "
        "Empty: caution instead of sight.",
    )
    joint_encoder_sha256: str = Field("", description="Digest of the checkpoint, 64 hex digits.")
    joint_encoder_config: str = Field("", description="URI of the checkpoint's open_clip_config.json.")
    joint_encoder_config_sha256: str = Field("", description="Digest of that file, 64 hex digits.")
    joint_encoder_text: str = Field("", description="Of an .onnx encoder, URI of the half that reads sentences.")
    joint_encoder_text_sha256: str = Field("", description="Digest of that file, 64 hex digits.")
    joint_head: str = Field("", description="URI of a head on both embeddings of a pair (.npz), if one was trained.")
    joint_head_sha256: str = Field("", description="Digest of that file, 64 hex digits.")
    joint_encoder_tokenizer: str = Field(
        "", description="URI of its tokenizer.json, where the configuration names another tokenizer than CLIP's own."
    )
    joint_encoder_tokenizer_sha256: str = Field("", description="Digest of that file, 64 hex digits.")
