"""Passwords after NIST SP 800-63B (revision 4): length counts, no rules of composition, nothing that is guessed first.

Hashed with argon2id at the parameters of RFC 9106's second recommendation (64 MiB, three passes).
"""

from __future__ import annotations

import asyncio
import unicodedata

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError
from zxcvbn import zxcvbn

from services.core.errors import InvalidInput

SHORTEST, LONGEST = 12, 128
# zxcvbn's score 3: more than 10^8 guesses, "safely unguessable" where guesses are slow.
LEAST_SCORE = 3
_LONGEST_JUDGED = 64  # its time grows faster than its text

_hasher = PasswordHasher()
# What an unknown name's password is compared with, so that it takes as long as a known one's.
_NOBODY = _hasher.hash("nobody has this password")
# Each holds 64 MiB: a flood of logins must not take the machine's memory.
_at_once = asyncio.Semaphore(4)


def check_password(password: str, name: str) -> str:
    """The password in its one form (NFKC); InvalidInput says what is wrong with it."""
    plain = unicodedata.normalize("NFKC", password)
    if not SHORTEST <= len(plain) <= LONGEST:
        raise InvalidInput("password", f"{SHORTEST} to {LONGEST} characters are needed; a few random words do well")
    if zxcvbn(plain[:_LONGEST_JUDGED], user_inputs=[name, "portcullis"])["score"] < LEAST_SCORE:
        raise InvalidInput(
            "password", "this one is among the first that others would guess; a few random words do well"
        )
    return plain


async def hash_password(password: str) -> str:
    """argon2id, with its salt and parameters."""
    async with _at_once:
        return await asyncio.to_thread(_hasher.hash, password)


async def matches(stored: str | None, password: str) -> bool:
    """Whether it is the password of `stored`; takes as long where nobody is stored, and is False."""
    plain = unicodedata.normalize("NFKC", password[: 4 * LONGEST])
    async with _at_once:
        return await asyncio.to_thread(_verify, stored or _NOBODY, plain) and stored is not None


def _verify(stored: str, password: str) -> bool:
    try:
        return _hasher.verify(stored, password)
    except (VerifyMismatchError, InvalidHashError):
        return False
