"""Spellings that hide a prompt from a filter and not from a person: pure functions of a text and randomness.

Each keeps every word of the text; what the words say is changed by no function here.
"""

from __future__ import annotations

import base64
import codecs
import unicodedata
from collections.abc import Callable, Mapping
from random import Random
from types import MappingProxyType
from urllib.parse import quote

Spelling = Callable[[str, Random], str]

_CYRILLIC = dict(zip("aceijopsxyhkmtbAEOCPXKMTHB", "асеіјорѕхуһкмтьАЕОСРХКМТНВ", strict=True))
_GREEK = dict(zip("aoviukptwABEHIKMNOPTXYZ", "αονιυκρτωΑΒΕΗΙΚΜΝΟΡΤΧΥΖ", strict=True))
_ARMENIAN = dict(zip("ouhnglq", "օսհոցլզ", strict=True))
_CHEROKEE = dict(zip("abcdeghijklmprstvwz", "ᎪᏏᏟᎠᎬᏀᎻᎥᎫᏦᏞᎷᏢᎡᏚᎢᏙᎳᏃ", strict=True))
_TURNED = dict(zip("abcdefghijklmnopqrtuvwy", "ɐqɔpǝɟƃɥᴉɾʞlɯuodbɹʇnʌʍʎ", strict=True))
_SMALL_CAPITALS = dict(zip("abcdeghijklmnoprtuvwyz", "ᴀʙᴄᴅᴇɢʜɪᴊᴋʟᴍɴᴏᴘʀᴛᴜᴠᴡʏᴢ", strict=True))
_LEET_LIGHT = dict(zip("aeio", "4310", strict=True))
_LEET_FULL = dict(zip("aegiostbl", "439105781", strict=True))
_LEET_SIGNS = dict(zip("aisl", "@!$|", strict=True))
_MARKS = [chr(code) for code in (*range(0x300, 0x315), *range(0x334, 0x339))]
_INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff\u00ad"


def _swapped(table: Mapping[str, str], chance: float = 1.0) -> Spelling:
    def spell(text: str, random: Random) -> str:
        return "".join(
            table.get(letter, table.get(letter.lower(), letter)) if random.random() < chance else letter
            for letter in text
        )

    return spell


def _between(choose: Callable[[Random], str]) -> Spelling:
    """Something between all letters of the longer words."""

    def spell(text: str, random: Random) -> str:
        return _words(text, lambda word: "".join(letter + choose(random) for letter in word[:-1]) + word[-1])

    return spell


def _words(text: str, spell: Callable[[str], str]) -> str:
    """`spell` on every word of letters that has three or more."""
    return " ".join(spell(word) if len(word) > 2 and word.isalpha() else word for word in text.split())


def _moved(first_capital: int, first_small: int) -> Spelling:
    """ASCII letters moved into another block of Unicode."""

    def move(letter: str) -> str:
        if not (letter.isascii() and letter.isalpha()):
            return letter
        first, a = (first_small, "a") if letter.islower() else (first_capital, "A")
        return chr(first + ord(letter) - ord(a))

    return lambda text, _: "".join(map(move, text))


def _zalgo(text: str, random: Random) -> str:
    return "".join(
        letter + "".join(random.choices(_MARKS, k=random.randint(1, 4))) if letter.isalpha() else letter
        for letter in text
    )


def _accents(text: str, random: Random) -> str:
    return unicodedata.normalize(
        "NFC", "".join(c + (random.choice("\u0301\u0300\u0308") if c in "aeiou" else "") for c in text)
    )


def _markup(text: str, random: Random) -> str:
    def spell(word: str) -> str:
        tag, at = random.choice(("b", "i", "em", 'span class="x"')), random.randint(1, len(word) - 2)
        return f"{word[:at]}<{tag}>{word[at : at + 1]}</{tag.split()[0]}>{word[at + 1 :]}"

    return _words(text, spell)


def _stretched(text: str, random: Random) -> str:
    def spell(word: str) -> str:
        at = random.randrange(len(word))
        return word[:at] + word[at] * random.randint(3, 6) + word[at + 1 :]

    return _words(text, spell)


def _cut(mark: str) -> Spelling:
    """Each longer word in two."""

    def spell(text: str, random: Random) -> str:
        def cut(word: str) -> str:
            at = random.randint(1, len(word) - 1)
            return word[:at] + mark + word[at:]

        return _words(text, cut)

    return spell


def _starred(text: str, random: Random) -> str:
    def spell(word: str) -> str:
        vowels = [at for at, letter in enumerate(word) if at and letter in "aeiou"]
        at = random.choice(vowels) if vowels else 1
        return word[:at] + "*" + word[at + 1 :]

    return _words(text, spell)


def _alternating(text: str, _: Random) -> str:
    return "".join(letter.upper() if at % 2 else letter.lower() for at, letter in enumerate(text))


def _percent(text: str, _: Random) -> str:
    return "".join(f"%{byte:02x}" if chr(byte).isalpha() else quote(chr(byte)) for byte in text.encode())


SPELLINGS: Mapping[str, Spelling] = MappingProxyType(
    {
        "cyrillic": _swapped(_CYRILLIC),
        "cyrillic, some": _swapped(_CYRILLIC, 0.5),
        "greek": _swapped(_GREEK),
        "armenian": _swapped(_ARMENIAN),
        "cherokee": _swapped(_CHEROKEE),
        "small capitals": _swapped(_SMALL_CAPITALS),
        "mathematical": _moved(0x1D400, 0x1D41A),
        "full-width": _moved(0xFF21, 0xFF41),
        "squared": lambda text, random: _moved(0x1F170, 0x1F170)(text.upper(), random),
        "regional": lambda text, random: _moved(0x1F1E6, 0x1F1E6)(text.upper(), random),
        "leet, some": _swapped(_LEET_LIGHT, 0.5),
        "leet, vowels": _swapped(_LEET_LIGHT),
        "leet, full": _swapped(_LEET_FULL),
        "leet, signs": _swapped(_LEET_SIGNS),
        "spaced": lambda text, _: "  ".join(" ".join(word) for word in text.split()),
        "dotted": _between(lambda _: "."),
        "hyphenated": _between(lambda _: "-"),
        "underscored": _between(lambda _: "_"),
        "mixed separators": _between(lambda random: random.choice(".-_*")),
        "snake case": lambda text, _: "_".join(text.split()),
        "zero-width": _between(lambda random: random.choice(_INVISIBLE)),
        "emoji between": _between(lambda random: random.choice("🔥✨💥")),
        "zalgo": _zalgo,
        "accents": _accents,
        "mark-up": _markup,
        "alternating case": _alternating,
        "stretched": _stretched,
        "starred": _starred,
        "cut by a line": _cut("\n"),
        "cut by a dot": _cut("."),
        "cut by a hyphen": _cut("-"),
        "joined": lambda text, _: "".join(text.split()),
        "reversed": lambda text, _: text[::-1],
        "reversed words": lambda text, _: " ".join(word[::-1] for word in text.split()),
        "upside down": lambda text, _: "".join(_TURNED.get(letter, letter) for letter in text.lower())[::-1],
        "right to left": lambda text, _: "\u202e" + text[::-1] + "\u202c",
        "base64": lambda text, _: base64.b64encode(text.encode()).decode(),
        "rot13": lambda text, _: codecs.encode(text, "rot13"),
        "per cent": _percent,
        "hex": lambda text, _: text.encode().hex(),
        "hex bytes": lambda text, _: text.encode().hex(" "),
        "entities": lambda text, _: "".join(f"&#{ord(letter)};" for letter in text),
    }
)
