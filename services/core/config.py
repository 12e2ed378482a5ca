"""Settings that every process of the house shares. Each room adds a `RoomSettings` of its own in `settings.py`.

Every value is read from the environment; `portcullis config` prints them all with their meaning.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from portcullis.profile import default_home
from services.core.errors import ConfigurationError

ROOMS = ("gateway", "prompt_filter", "image_filter", "combo_filter", "generator", "provenance", "review")
FIRST_PORT = 7400
METRICS_OFFSET = 100


class Settings(BaseSettings):
    """Values of the environment; a bad one is told by its variable."""

    def __init__(self, **values: Any) -> None:
        """Raises ConfigurationError with every variable that holds a bad value, without the value."""
        try:
            super().__init__(**values)
        except ValidationError as error:
            prefix = self.model_config.get("env_prefix", "")
            problems = (f"{prefix}{'_'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in error.errors())
            raise ConfigurationError("; ".join(problems), reason="BAD_SETTING") from None
        except SettingsError as error:
            problem = str(error).partition(" from source")[0]
            raise ConfigurationError(f"{problem}: it must be JSON", reason="BAD_SETTING") from None


class HouseSettings(Settings):
    """What all processes share."""

    model_config = SettingsConfigDict(env_prefix="PORTCULLIS_")

    home: Path = Field(default_factory=default_home, description="Data home: keys, certificates, evidence, Postgres.")
    dsn: str = Field("", description="Postgres DSN; empty means the embedded Postgres in the data home.")
    broker_url: str = Field("", description="Celery broker URL; empty means pgmq on the same Postgres.")
    bind: str = Field("127.0.0.1", description="Interface that every server listens on.")
    port_base: int = Field(FIRST_PORT, ge=1024, le=65_000, description="First port; the rooms follow in order.")
    probe_port: int | None = Field(
        None,
        ge=1024,
        le=65_535,
        description="Port of health for an orchestrator, in plain gRPC, where each process has an address of its own.",
    )
    hosts: dict[str, str] = Field(
        default_factory=dict[str, str],
        description='Where rooms are reached when not on this machine, as JSON: {"generator": "dns:///generator:7404"}.',
    )
    reflection: bool = Field(False, description="Tell known callers the contract by gRPC reflection, for grpcurl.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least severe line to log.")
    otlp_endpoint: str = Field("", description="OTLP/gRPC collector for traces; empty turns tracing off.")
    clearance_seconds: int = Field(300, ge=5, le=3600, description="Life of a clearance in seconds.")
    policy_stale_seconds: float = Field(
        60.0, ge=5, le=3600, description="Seconds without word from Postgres on the policy before a filter refuses."
    )
    drain_seconds: float = Field(20.0, ge=0, le=600, description="Seconds a stopping server lets running calls finish.")

    @field_validator("home")
    @classmethod
    def _absolute(cls, home: Path) -> Path:
        return home.expanduser().absolute()

    def port(self, room: str) -> int:
        """The port that `room` listens on."""
        return self.port_base + ROOMS.index(room)

    def target(self, room: str) -> str:
        """The gRPC target under which other rooms reach `room`."""
        return self.hosts.get(room) or f"127.0.0.1:{self.port(room)}"

    def database(self) -> str:
        """The DSN in use; the embedded Postgres writes its own into the data home when it starts."""
        if self.dsn:
            return self.dsn
        written = self.home / "postgres.dsn"
        return written.read_text().strip() if written.exists() else ""


class RoomSettings(Settings):
    """What every room can be told apart from its own matters."""

    metrics_port: int | None = Field(
        None,
        ge=0,
        le=65_535,
        description="Port of /metrics; unset: the gRPC port plus 100; 0: any free one.",
    )
    max_concurrent: int = Field(64, ge=1, le=10_000, description="Calls served at once; more are refused.")
