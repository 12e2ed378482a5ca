"""Encoded runs as what they say: per cent, entities, escapes, hex, base64. What decodes to no English stays.

Every decoded text is shorter than its code, and the rounds of `normalize.undress` bound how deep codes are nested.
"""

from __future__ import annotations

import base64
import binascii
import html
import re
from collections.abc import Iterator
from urllib.parse import unquote_to_bytes

from services.prompt_filter.form import Edit
from services.prompt_filter.vocabulary import Vocabulary

# One ASCII character: two hexadecimal digits; a decimal number of 32…126; eight bits.
_HEX = "(?:0x)?[2-7][0-9A-Fa-f]"
_DECIMAL = r"(?:3[2-9]|[4-9]\d|1[01]\d|12[0-6])"
_BITS = "[01]{8}"
_ALONE, _ENDED = "(?<![A-Za-z0-9#])", "(?![A-Za-z0-9])"
_CODED = re.compile(
    r"(?P<percent>(?:%[0-9A-Fa-f]{2})+)"
    r"|(?P<entity>&(?:\#\d{1,7}|\#[xX][0-9A-Fa-f]{1,6}|[A-Za-z]{2,31});)"
    r"|(?P<escape>(?:\\x[0-9A-Fa-f]{2}|\\u[0-9A-Fa-f]{4}|\\u\{[0-9A-Fa-f]{1,6}\})+)"
    rf"|(?P<hex>{_ALONE}{_HEX}(?:[ :,-]?{_HEX}){{2,}}{_ENDED})"
    rf"|(?P<decimal>{_ALONE}{_DECIMAL}(?:[ ,]{{1,2}}{_DECIMAL}){{2,}}{_ENDED})"
    rf"|(?P<binary>{_ALONE}{_BITS}(?: ?{_BITS}){{2,}}{_ENDED})"
    r"|(?P<base64>(?<![A-Za-z0-9+/=])[A-Za-z0-9+/_-]{6,}={0,2}(?![A-Za-z0-9+/=]))"
)
_LETTERS = re.compile(r"[A-Za-z]+")
# The share of letters that must stand in English words for a decoded text to be taken for one.
_READABLE = 0.6


def edits(text: str, words: Vocabulary) -> Iterator[Edit]:
    """Each run that reads as English (or, of per cent and entities, as text at all) by what it says."""
    for match in _CODED.finditer(text):
        kind, run = str(match.lastgroup), match.group()
        if kind == "base64" and (run.islower() or run.lower() in words):
            continue
        said = re.sub(r"\s", " ", _decode(kind, run))
        if not said or not said.isprintable():
            continue
        # Letters need no escape; anything else may.
        hides = any(letter.isascii() and letter.isalnum() for letter in said)
        if kind in ("percent", "entity", "escape") or (hides and is_readable(said, words)):
            yield Edit(match.start(), match.end(), said, None, hides)


def is_readable(text: str, words: Vocabulary) -> bool:
    """English words make up most of its letters, and it is more than signs."""
    runs = _LETTERS.findall(text)
    letters = sum(map(len, runs))
    known = sum(len(run) for run in runs if words.cost(run.lower()) < float("inf"))
    return letters >= 3 and letters * 2 > len(text) and known >= _READABLE * letters


def _decode(kind: str, run: str) -> str:
    """What `run` says, empty where it is no code of this kind."""
    try:
        match kind:
            case "percent":
                return unquote_to_bytes(run).decode()
            case "entity":
                return said if (said := html.unescape(run)) != run else ""
            case "escape":
                return "".join(chr(int(code, 16)) for code in re.findall(r"[0-9A-Fa-f]{2,6}", run))
            case "hex":
                return bytes.fromhex(re.sub(r"0x|[^0-9A-Fa-f]", "", run)).decode()
            case "decimal":
                return "".join(chr(int(code)) for code in re.findall(r"\d+", run))
            case "binary":
                bits = run.replace(" ", "")
                return "".join(chr(int(bits[at : at + 8], 2)) for at in range(0, len(bits), 8))
            case _:
                bare = run.rstrip("=")
                padded = bare + "=" * (-len(bare) % 4)
                return base64.b64decode(padded.translate(str.maketrans("-_", "+/")), validate=True).decode()
    except (ValueError, binascii.Error, OverflowError):
        return ""
