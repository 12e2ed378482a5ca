"""Where the client finds the house and how it proves who it is: environment first, then the data home's client.json."""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_data_path
from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from pydantic_settings.sources import JsonConfigSettingsSource

from portcullis.errors import PortcullisError


def default_home() -> Path:
    """The data home of the user; root's lies outside its own home, which Postgres' user could not enter."""
    return Path("/var/lib/portcullis") if os.geteuid() == 0 else user_data_path("portcullis")


def home() -> Path:
    """The data home in use: PORTCULLIS_HOME, or the default."""
    configured = os.environ.get("PORTCULLIS_HOME")
    return Path(configured).expanduser().absolute() if configured else default_home()


class Profile(BaseSettings):
    """How to reach a gateway. `portcullis up` writes one into its data home."""

    model_config = SettingsConfigDict(env_prefix="PORTCULLIS_", extra="ignore")

    address: str = Field(min_length=1, description="Host and port of the gateway.")
    api_key: str = Field(min_length=1, repr=False, description="The platform's API key, pk_….")
    ca: Path | None = Field(None, description="PEM file of the CA that signed the servers; none for the system's CAs.")
    review_address: str = Field("", description="Host and port of the review service, for analysts.")
    analyst_cert: Path | None = Field(None, description="PEM file of the analyst's certificate.")
    analyst_key: Path | None = Field(None, description="PEM file of the analyst's private key.")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the name is pydantic's
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment wins over the file."""
        file = JsonConfigSettingsSource(settings_cls, json_file=home() / "client.json")
        return init_settings, env_settings, file


def load_profile() -> Profile:
    """The profile of this environment. Raises PortcullisError that says how to make one where there is none."""
    try:
        return Profile.model_validate({})
    except ValidationError as error:
        missing = ", ".join(f"PORTCULLIS_{str(e['loc'][0]).upper()}" for e in error.errors())
        raise PortcullisError(
            f"no gateway is configured: set {missing}, or start one here with `portcullis up`, which writes "
            f"{home() / 'client.json'}",
            code="FAILED_PRECONDITION",
            reason="NO_PROFILE",
        ) from None
    except OSError as error:
        raise PortcullisError(
            f"cannot read {error.filename}: {error.strerror}", code="FAILED_PRECONDITION", reason="PROFILE_UNREADABLE"
        ) from error
