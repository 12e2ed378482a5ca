"""What can be set at provenance."""

from __future__ import annotations

from pydantic_settings import SettingsConfigDict

from services.core.config import RoomSettings


class ProvenanceSettings(RoomSettings):
    """Settings of provenance; its keys lie in the data home, under keys/."""

    model_config = SettingsConfigDict(env_prefix="PORTCULLIS_PROVENANCE_")
