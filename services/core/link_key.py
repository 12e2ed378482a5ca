"""The key under which shared devices and means of payment are hashed once more: the table alone links nothing."""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from services.core.errors import ConfigurationError

LEAST, MOST, AT_ONCE = 16, 64, 16


@dataclass(frozen=True, slots=True)
class LinkKey:
    """A key of its own, derived from the house's evidence key (HKDF, RFC 5869)."""

    key: bytes = field(repr=False)

    @classmethod
    def load(cls, evidence_key: Path) -> LinkKey:
        """Raises ConfigurationError if there is no good evidence key."""
        try:
            secret = evidence_key.read_bytes()
        except OSError as error:
            raise ConfigurationError(f"{evidence_key} cannot be read", reason="NO_EVIDENCE_KEY") from error
        if len(secret) != 32:
            raise ConfigurationError(f"{evidence_key} must hold 32 bytes", reason="BAD_EVIDENCE_KEY")
        return cls(HKDF(SHA256(), 32, salt=None, info=b"portcullis account links").derive(secret))

    def blind(self, tenant: str, shared: bytes) -> bytes:
        """32 bytes that are equal for what two accounts of one tenant share, and say nothing else."""
        return hmac.digest(self.key, tenant.encode() + b"\0" + shared, sha256)
