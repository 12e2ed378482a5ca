"""Small secrets encrypted at rest: AES-256-GCM under a key file in the data home, bound to what they belong to.

A sealed secret is `nonce (12 bytes, random) ‖ ciphertext ‖ tag (16 bytes)`.
"""

from __future__ import annotations

import secrets
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from services.core.errors import ConfigurationError, Unavailable
from services.core.secret_files import write_secret

KEY_BYTES = 32
NONCE_BYTES = 12


def create_key(path: Path) -> None:
    """Makes a random key of 256 bits, mode 0600; a key that is there already stays."""
    try:
        write_secret(path, secrets.token_bytes(KEY_BYTES))
    except FileExistsError:
        return


class SecretBox:
    """Seals and opens secrets with one key."""

    def __init__(self, key_file: Path) -> None:
        """Raises ConfigurationError if there is no good key."""
        try:
            key = key_file.read_bytes()
        except FileNotFoundError as error:
            raise ConfigurationError(f"no key at {key_file}; `portcullis up` makes one", reason="NO_KEY") from error
        if len(key) != KEY_BYTES:
            raise ConfigurationError(f"{key_file} must hold {KEY_BYTES} bytes, not {len(key)}", reason="BAD_KEY")
        self._cipher = AESGCM(key)

    def seal(self, secret: bytes, owner: bytes) -> bytes:
        """Encrypts a secret of `owner`, for whom alone it can be opened."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, secret, owner)

    def open(self, sealed: bytes, owner: bytes) -> bytes:
        """The secret; raises Unavailable if it was changed, is another owner's, or was sealed with another key."""
        try:
            return self._cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], owner)
        except (InvalidTag, ValueError) as error:
            raise Unavailable("this secret cannot be opened with our key", reason="SECRET_DAMAGED") from error
