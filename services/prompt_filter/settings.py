"""What can be set of the prompt filter."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from services.core.config import RoomSettings


class PromptFilterSettings(RoomSettings):
    """Which model files are used; a file that does not ship with the house needs its sha256."""

    model_config = SettingsConfigDict(env_prefix="PORTCULLIS_PROMPT_FILTER_")

    encoder_uri: str = Field("models/prompt/encoder.onnx", description="Text encoder (ONNX): ids in, embedding out.")
    encoder_sha256: str = Field("", description="Its sha256 in hex; empty takes that of the shipped model.")
    tokenizer_uri: str = Field("models/prompt/tokenizer.json", description="Its tokenizer (Hugging Face tokenizers).")
    tokenizer_sha256: str = Field("", description="Its sha256 in hex; empty takes that of the shipped model.")
    heads_uri: str = Field("models/prompt/heads.npz", description="Category heads, n-gram weights and calibration.")
    heads_sha256: str = Field("", description="Its sha256 in hex; empty takes that of the shipped model.")
