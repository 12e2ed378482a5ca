"""What can be set about the console."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from services.core.config import HouseSettings, Settings
from services.core.errors import ConfigurationError
from services.core.staff import Role
from services.core.store.sessions import Lifetime

PORT_OFFSET, METRICS_OFFSET = 7, 110


class ConsoleSettings(Settings):
    """The console's address, its sessions, its logins and its care for those who look."""

    model_config = SettingsConfigDict(env_prefix="PORTCULLIS_CONSOLE_")

    bind: str = Field("127.0.0.1", description="Interface of the console; any but a loopback one needs TLS.")
    port: int | None = Field(None, ge=0, le=65_535, description="Its port; unset: PORTCULLIS_PORT_BASE plus 7.")
    metrics_port: int | None = Field(
        None, ge=0, le=65_535, description="Its /metrics; unset: PORTCULLIS_PORT_BASE plus 110; 0: any free one."
    )
    url: str = Field("", description="Where browsers reach it, as https://review.example.com; unset: where it listens.")
    tls_certificate: Path | None = Field(None, description="Its TLS certificate with its chain, PEM.")
    tls_key: Path | None = Field(None, description="The key of that certificate, PEM.")
    proxies: list[str] = Field(
        default_factory=list[str],
        description="Addresses of TLS-terminating proxies in front, as JSON; only they may say who asks.",
    )
    idle_seconds: float = Field(1800, ge=60, le=86_400, description="A session ends after so long without a request.")
    session_seconds: float = Field(43_200, ge=60, le=604_800, description="A session ends after so long at all.")
    invitation_seconds: float = Field(259_200, ge=60, le=2_592_000, description="Life of an invitation.")
    reveal_seconds: float = Field(6, ge=1, le=60, description="How long a revealed picture is shown.")
    break_reveals: int = Field(25, ge=1, le=10_000, description="Reveals after which a break is proposed.")
    break_minutes: float = Field(50, ge=1, le=600, description="Minutes of work after which a break is proposed.")
    rest_minutes: float = Field(10, ge=1, le=120, description="Minutes without work that count as a break.")
    oidc_issuer: str = Field("", description="OpenID Connect provider; empty: accounts of the console's own.")
    oidc_client_id: str = Field("", description="The console's client id there.")
    oidc_client_secret: SecretStr = Field(
        SecretStr(""), description="The console's secret there; empty: public client."
    )
    oidc_ca: Path | None = Field(None, description="PEM of the CA of the provider's certificate, where it is private.")
    oidc_roles_claim: str = Field("", description="Claim of the token that names roles; empty: ours alone count.")
    oidc_roles: dict[str, list[Role]] = Field(
        default_factory=dict[str, list[Role]],
        description='Value of that claim → roles, as JSON: {"trust-leads": ["lead"]}.',
    )

    @property
    def lifetime(self) -> Lifetime:
        """How long sessions last."""
        return Lifetime(self.idle_seconds, self.session_seconds)

    @property
    def secure(self) -> bool:
        """Whether browsers reach it by TLS."""
        return self.tls_certificate is not None or bool(self.proxies)

    def listening_port(self, house: HouseSettings) -> int:
        """The port that it listens on."""
        return house.port_base + PORT_OFFSET if self.port is None else self.port

    def origin(self, house: HouseSettings) -> str:
        """Scheme, host and port as a browser writes them in `Origin`."""
        if self.url:
            return self.url.rstrip("/")
        host = f"[{self.bind}]" if ":" in self.bind else self.bind
        return f"{'https' if self.secure else 'http'}://{host}:{self.listening_port(house)}"

    def check(self) -> None:
        """Raises ConfigurationError unless what it is told and shows is safe on the way."""
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ConfigurationError("set both PORTCULLIS_CONSOLE_TLS_CERTIFICATE and _TLS_KEY, or neither")
        if not self.secure and not _is_loopback(self.bind):
            raise ConfigurationError(
                f"PORTCULLIS_CONSOLE_BIND is {self.bind}: beyond this machine the console needs TLS; set"
                " PORTCULLIS_CONSOLE_TLS_CERTIFICATE and _TLS_KEY, or PORTCULLIS_CONSOLE_PROXIES where a proxy does it",
                reason="CONSOLE_WITHOUT_TLS",
            )
        if self.secure and not self.url and self.proxies:
            raise ConfigurationError("behind a proxy, set PORTCULLIS_CONSOLE_URL to where browsers reach the console")
        if self.url and not _is_origin(self.url, "https" if self.secure else "http"):
            raise ConfigurationError(
                "PORTCULLIS_CONSOLE_URL must be scheme, host and port alone"
                f" ({'https' if self.secure else 'http'}://host:port)"
            )
        if self.oidc_issuer and not self.oidc_client_id:
            raise ConfigurationError("set PORTCULLIS_CONSOLE_OIDC_CLIENT_ID as well")
        if self.oidc_issuer and not is_private(self.oidc_issuer):
            raise ConfigurationError("PORTCULLIS_CONSOLE_OIDC_ISSUER must begin with https://")


def is_private(url: str) -> bool:
    """Whether nobody on the way reads or changes what goes to an address: by TLS, or not beyond this machine."""
    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(parts.hostname or ""))


def _is_loopback(interface: str) -> bool:
    try:
        return interface == "localhost" or ipaddress.ip_address(interface).is_loopback
    except ValueError:
        return False


def _is_origin(url: str, scheme: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == scheme and bool(parts.hostname) and not parts.username and parts.path in ("", "/")
