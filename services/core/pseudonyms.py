"""Ids of people under a keyed hash: the same person is known again, and the books do not say who it is."""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from services.core.errors import ConfigurationError
from services.core.evidence import PSEUDONYMS_KEY


class Pseudonyms:
    """HMAC-SHA256 under a key derived (HKDF, RFC 5869) from the house's evidence key, one for each purpose."""

    def __init__(self, master: bytes, purpose: str) -> None:
        """`master` is the evidence key."""
        self._key = HKDF(hashes.SHA256(), 32, None, f"portcullis {purpose}".encode()).derive(master)

    @classmethod
    def load(cls, key_file: Path, purpose: str) -> Pseudonyms:
        """Under the evidence key, or the one that it was before its first rotation; ConfigurationError without any."""
        first = key_file.with_name(PSEUDONYMS_KEY)
        try:
            return cls((first if first.exists() else key_file).read_bytes(), purpose)
        except FileNotFoundError as error:
            raise ConfigurationError(
                f"no evidence key at {key_file}; `portcullis up` makes one", reason="NO_EVIDENCE_KEY"
            ) from error

    def of(self, tenant: str, person: str) -> bytes:
        """32 bytes for a person of a tenant; nobody else's without the key."""
        return hmac.digest(self._key, b"\0".join([tenant.encode(), person.encode()]), hashlib.sha256)
