"""What can be set about an engine elsewhere."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import SettingsConfigDict

from services.core.config import Settings
from services.core.imaging_formats import Limits
from services.generator.job import MAX_STEPS, Operation

LARGEST = Limits().kept_side  # of a larger picture the decoder would keep less


class RemoteSettings(Settings):
    """An engine elsewhere that renders instead of a model of one's own."""

    model_config = SettingsConfigDict(env_prefix="PORTCULLIS_GENERATOR_REMOTE_")

    url: str = Field(
        "",
        description="Where an engine with vLLM-Omni's images API is, without /v1; https, or http on this machine. "
        "Empty: the generator renders itself.",
    )
    key: SecretStr = Field(SecretStr(""), description="The engine's API key; empty: it asks for none.")
    ca: Path | None = Field(None, description="PEM of the CA of the engine's certificate, where it is private.")
    model: str = Field("", description="The model, by the name under which the engine serves it.")
    version: str = Field("", description="Its revision, as you pinned it: stands in answers, manifests and digests.")
    operations: list[Operation] = Field(
        ["create"], min_length=1, description="What the model can do, as JSON: create, edit, variation."
    )
    sizes: list[int] = Field(
        [1024], min_length=1, description="Sides of its pictures in pixels, 64 … 2048, as JSON; the first by default."
    )
    steps: int = Field(30, ge=1, le=MAX_STEPS, description="Denoising steps where a request names none.")
    guidance: float = Field(
        0.0, ge=0, le=20, description="Guidance where a request names none; 0: as the engine has it for the model."
    )
    at_once: int = Field(4, ge=1, le=256, description="Requests that the engine is given at once; more wait here.")

    @field_validator("url")
    @classmethod
    def _safe(cls, url: str) -> str:
        """Prompts and uploads go there: over TLS, unless they stay on this machine."""
        if not url:
            return url
        parts = urlsplit(url)
        if not parts.hostname or parts.username is not None or parts.query or parts.fragment:
            raise ValueError("it must be a URL of a host, without user, query and fragment")
        if parts.scheme != "https" and not (parts.scheme == "http" and _is_here(parts.hostname)):
            raise ValueError("https is needed, or http to a loopback address")
        return url

    @field_validator("sizes")
    @classmethod
    def _drawable(cls, sizes: list[int]) -> list[int]:
        if not all(64 <= size <= LARGEST for size in sizes):
            raise ValueError(f"64 … {LARGEST} are allowed")
        return sizes


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
