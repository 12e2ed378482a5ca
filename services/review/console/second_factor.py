"""The second factor: time-based codes (RFC 6238, six digits, 30 s), their secrets encrypted at rest, recovery codes."""

from __future__ import annotations

import hmac
import secrets
from pathlib import Path

import pyotp
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from services.core.errors import ConfigurationError, Unavailable
from services.core.secret_files import write_secret

KEY_BYTES, NONCE_BYTES = 32, 12
STEP_SECONDS = 30
RECOVERY_CODES = 10
# Letters and digits that nobody takes for another: 16 of 31 are 79 bits.
_ALPHABET, CODE_LENGTH = "23456789abcdefghjkmnpqrstuvwxyz", 16


def create_staff_key(path: Path) -> None:
    """Makes a random key of 256 bits, mode 0600; a key that is there already stays."""
    try:
        write_secret(path, secrets.token_bytes(KEY_BYTES))
    except FileExistsError:
        return


class StaffKey:
    """AES-256-GCM under the house's staff key; what is sealed for one purpose opens for no other."""

    def __init__(self, path: Path) -> None:
        """Raises ConfigurationError where there is no good key."""
        try:
            key = path.read_bytes()
        except FileNotFoundError as error:
            raise ConfigurationError(f"no staff key at {path}; `portcullis up` makes one", reason="NO_KEY") from error
        if len(key) != KEY_BYTES:
            raise ConfigurationError(f"{path} must hold {KEY_BYTES} bytes, not {len(key)}", reason="BAD_KEY")
        self._cipher = AESGCM(key)

    def seal(self, secret: str, purpose: str) -> bytes:
        """`secret` encrypted."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, secret.encode(), purpose.encode())

    def open(self, sealed: bytes, purpose: str) -> str:
        """What was sealed; raises Unavailable where it was for another purpose, changed, or under another key."""
        try:
            plain: bytes = self._cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], purpose.encode())
        except (InvalidTag, ValueError) as error:
            raise Unavailable("this cannot be read with our staff key", reason="STAFF_KEY") from error
        return plain.decode()


def new_secret() -> str:
    """160 random bits in base32, as RFC 4226 recommends."""
    return str(pyotp.random_base32())


def enrolment_uri(secret: str, name: str) -> str:
    """What an authenticator app reads from the QR code."""
    return str(pyotp.TOTP(secret, name=name, issuer="Portcullis").provisioning_uri())


def matching_step(secret: str, code: str, now: float) -> int | None:
    """The time step whose code this is: the current one, the one before or after; None where it is none of them."""
    digits = code.replace(" ", "")
    current = int(now) // STEP_SECONDS
    totp = pyotp.TOTP(secret)
    found = None
    for step in (current - 1, current, current + 1):
        if hmac.compare_digest(totp.generate_otp(step).encode(), digits.encode()):
            found = step
    return found


def new_recovery_codes() -> list[str]:
    """Codes for the day when the phone is gone, each good once."""
    return ["".join(secrets.choice(_ALPHABET) for _ in range(CODE_LENGTH)) for _ in range(RECOVERY_CODES)]


def plain_recovery_code(typed: str) -> str:
    """A recovery code as it is kept, however it was typed."""
    return "".join(typed.split()).replace("-", "").lower()
