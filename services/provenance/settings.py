"""What can be set at provenance."""

from __future__ import annotations

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from services.core.config import RoomSettings


class ProvenanceSettings(RoomSettings):
    """Settings of provenance; its keys lie in the data home, under keys/."""

    model_config = SettingsConfigDict(env_prefix="PORTCULLIS_PROVENANCE_")

    signing_key: SecretStr = Field(
        SecretStr(""), description="The manifest's private key as PEM (PKCS #8); empty: keys/c2pa/key.pem."
    )
    sign_with: str = Field(
        "",
        description="Function that signs with a KMS or an HSM, as module:function; see docs/provenance.md.",
    )
    tsa_url: str = Field(
        "",
        pattern="^(https?://.+)?$",
        description="RFC 3161 time-stamping authority, whose roots are keys/c2pa/tsa.pem; empty: no timestamps.",
    )
    detector_url: str = Field(
        "",
        pattern="^(https?://.+)?$",
        description="Where anyone may ask whether a picture is yours; written into every manifest. Empty: not told.",
    )

    encoder: str = Field(
        "",
        description="URI of an open_clip checkpoint: .safetensors, or .onnx for the half that sees pictures. By it the "
        "registry tells what is like a picture that no hash finds; needs pgvector. Empty: nothing is told.",
    )
    encoder_sha256: str = Field("", description="Digest of the checkpoint, 64 hex digits.")
    encoder_config: str = Field("", description="URI of the checkpoint's open_clip_config.json.")
    encoder_config_sha256: str = Field("", description="Digest of that file, 64 hex digits.")

    @property
    def key_is_elsewhere(self) -> bool:
        """Whether the signing key is not the file in the data home."""
        return bool(self.sign_with or self.signing_key.get_secret_value())
