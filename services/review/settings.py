"""What can be set about the review room."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from services.core.config import RoomSettings


class ReviewSettings(RoomSettings):
    """The desk, its relay and its worker."""

    model_config = SettingsConfigDict(env_prefix="PORTCULLIS_REVIEW_")

    max_concurrent: int = Field(
        512, ge=1, le=10_000, description="Calls served at once, those who watch included; more are refused."
    )
    claim_seconds: float = Field(600, ge=1, le=86_400, description="Life of an analyst's lease on an item.")
    undo_seconds: float = Field(
        10, ge=0, le=3600, description="How long a decision can be taken back before it takes effect."
    )
    poll_seconds: float = Field(
        2, ge=0.05, le=60, description="How often to look where no bell rang: relay, notifier, those who watch."
    )
    sweep_seconds: float = Field(5, ge=0.1, le=600, description="How often the relay looks for what stalls or expires.")
    stalled_seconds: float = Field(
        30, ge=0.5, le=3600, description="An item that is not routed this long after its message left is told again."
    )
    visibility_seconds: int = Field(
        30, ge=1, le=3600, description="When pgmq or Redis delivers again what a killed worker had taken."
    )
    relay_metrics_port: int | None = Field(
        None,
        ge=0,
        le=65_535,
        description="The relay's /metrics; unset: PORTCULLIS_PORT_BASE plus 108; 0: any free one.",
    )
    event_days: float = Field(
        30, ge=1, le=3650, description="Days that events and delivered webhooks are kept; longer where one lags behind."
    )
    webhook_ports: list[int] = Field([443], description="Ports that a webhook may use, as JSON.")
    webhook_inside: list[str] = Field(
        default_factory=list[str],
        description='Names and networks that are not public and may be told all the same, as JSON: ["10.1.0.0/16"].',
    )
    webhook_ca: Path | None = Field(None, description="PEM file of authorities to trust beside the public ones.")
    webhook_insecure: bool = Field(False, description="Allow plain http for webhooks; for development alone.")
    kafka_servers: str = Field("", description="Kafka's bootstrap servers, host:port,…; empty: no events go to Kafka.")
    kafka_topic: str = Field("portcullis.events", min_length=1, max_length=249, description="The topic for all events.")
    kafka_config: dict[str, str | int | bool] = Field(
        default_factory=dict[str, str | int | bool],
        description='More for librdkafka, as JSON: {"security.protocol": "SASL_SSL", …}; may hold a password.',
    )
    notifier_metrics_port: int | None = Field(
        None,
        ge=0,
        le=65_535,
        description="The notifier's /metrics; unset: PORTCULLIS_PORT_BASE plus 109; 0: any free one.",
    )
    worker_metrics_port: int | None = Field(
        None,
        ge=0,
        le=65_535,
        description="The worker's /metrics; unset: PORTCULLIS_PORT_BASE plus 107; 0: any free one.",
    )
