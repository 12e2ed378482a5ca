"""What can be set at the gateway."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from services.core.config import RoomSettings


class GatewaySettings(RoomSettings):
    """Settings of the gateway."""

    model_config = SettingsConfigDict(env_prefix="PORTCULLIS_GATEWAY_")

    check_seconds: float = Field(20.0, gt=0, le=120, description="Longest that one check or mark may take, in seconds.")
    slowdown: float = Field(
        2.0,
        ge=1.1,
        le=100,
        description="How many times as long as alone a creation may take before fewer calls about pictures are let in.",
    )
    evidence_days: int = Field(30, ge=1, le=365, description="Days that content under review is kept, encrypted.")
