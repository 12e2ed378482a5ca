"""What can be set of the prompt filter."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from services.core.config import RoomSettings


class PromptFilterSettings(RoomSettings):
    """Which models are used; one that does not ship with the house needs its sha256."""

    model_config = SettingsConfigDict(env_prefix="PORTCULLIS_PROMPT_FILTER_")

    encoder_uri: str = Field("models/prompt/encoder.onnx", description="Text encoder (ONNX): ids in, embedding out.")
    encoder_sha256: str = Field("", description="Its sha256 in hex; empty takes that of the shipped model.")
    tokenizer_uri: str = Field("models/prompt/tokenizer.json", description="Its tokenizer (Hugging Face tokenizers).")
    tokenizer_sha256: str = Field("", description="Its sha256 in hex; empty takes that of the shipped model.")
    gate_uri: str = Field("models/prompt/gate.npz", description="What settles clearly harmless prompts.")
    gate_sha256: str = Field("", description="Its sha256 in hex; empty takes that of the shipped model.")
    heads_uri: str = Field("models/prompt/heads.npz", description="Category heads, n-gram weights and calibration.")
    heads_sha256: str = Field("", description="Its sha256 in hex; empty takes that of the shipped model.")
    text_model_uri: str = Field(
        "", description="Larger classifier that scores the categories it knows: a folder or hf://owner/name@commit."
    )
    text_model_sha256: str = Field("", description="Digest of its folder, see docs/models.md.")
    text_model_labels: dict[str, str] = Field(
        {}, description='Its labels as JSON, each to a category or to "" where it is not to be read.'
    )
    guard_uri: str = Field(
        "", description="Guard model for a second opinion on prompts in REVIEW: a folder or hf://owner/name@commit."
    )
    guard_sha256: str = Field("", description="Digest of its folder, see docs/models.md.")
    guard_template: str = Field("", description="How it is asked, with {prompt}; empty takes its chat template.")
    guard_unsafe: str = Field("unsafe", description="The word by which it calls a text unsafe (ShieldGemma: Yes).")
    guard_safe: str = Field("safe", description="The word by which it calls a text safe (ShieldGemma: No).")
    banks_stale_seconds: float = Field(
        60.0, ge=5, le=3600, description="Seconds without word from Postgres on the banks before the filter refuses."
    )
