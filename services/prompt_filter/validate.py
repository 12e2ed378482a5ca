"""What counts as a prompt at all; nothing else is read, so that nothing else costs time."""

from __future__ import annotations

import unicodedata

from services.core.errors import InvalidInput

MAX_CHARACTERS = 4_000
_ALLOWED_CONTROLS = "\t\n"


def validate(text: str, field: str = "prompt") -> None:
    """Raises InvalidInput(field, …) unless `text` is 1…4,000 characters of readable Unicode."""
    if not 1 <= len(text) <= MAX_CHARACTERS:
        raise InvalidInput(field, f"has {len(text)} characters, allowed are 1 to {MAX_CHARACTERS}")
    for at, letter in enumerate(text):
        if "\ud800" <= letter <= "\udfff":
            raise InvalidInput(field, f"character {at} is a lone surrogate (U+{ord(letter):04X}), no Unicode text")
        if letter not in _ALLOWED_CONTROLS and unicodedata.category(letter) == "Cc":
            raise InvalidInput(
                field, f"character {at} is the control character U+{ord(letter):04X}; of these only tab and newline"
            )
    # Some characters are whole phrases ("ﷺ"), which nothing after this may have to read a thousand times.
    if (
        not text.isascii()
        and (size := sum(len(unicodedata.normalize("NFKC", letter)) for letter in text)) > MAX_CHARACTERS
    ):
        raise InvalidInput(field, f"reads as {size} characters (NFKC), allowed are 1 to {MAX_CHARACTERS}")
    if all(unicodedata.category(letter)[0] in "ZCM" for letter in text):
        raise InvalidInput(field, "holds nothing to see; write what the picture shows")
