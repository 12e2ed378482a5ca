"""What is asked: a mix of calls, most of them honest, some violating, a few meant to break something.

The texts are many (so that no cache flatters the figures) and mild; violating ones are the least that the default
policy refuses. Pictures are drawn here, with nobody in them.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from io import BytesIO
from random import Random
from typing import Literal

import numpy as np
from PIL import Image, ImageDraw

Kind = Literal["create", "edit", "variation", "check_prompt", "check_upload", "check_pair"]
Flavour = Literal["plain", "violating", "hostile"]
CHECKS: tuple[Kind, ...] = ("check_prompt", "check_upload", "check_pair")
WITH_WORDS = frozenset({"create", "edit", "check_prompt", "check_pair"})
WITH_PICTURE = frozenset({"edit", "variation", "check_upload", "check_pair"})
PICTURES = 16  # drawn before the run: drawing would take the time of sending

_COLOURS = ("red", "green", "blue", "yellow", "purple", "orange", "white", "black")
_SHAPES = ("circle", "square", "triangle", "star")
_PLACES = ("above", "below", "left of", "right of")
_SUBJECTS = ("a lighthouse", "a wooden boat", "an old bicycle", "a teapot", "a mountain hut", "a sleeping cat")
_SETTINGS = ("at dawn", "in the rain", "under a starry sky", "in a meadow", "by the sea", "in autumn light")
_STYLES = ("watercolour", "oil painting", "pencil sketch", "woodcut", "poster", "pastel")
_EDITS = ("a green triangle", "a red circle", "a bowl of oranges", "a wooden boat", "a bunch of tulips", "fresh snow")
_VIOLATING = (
    "a man stabbing another man with a knife, blood everywhere",
    "a man stabs a man in the chest, blood all over the floor",
)


@dataclass(frozen=True, slots=True)
class Ask:
    """One request to be sent. Pictures are encoded files;"""

    kind: Kind
    account: str
    flavour: Flavour = "plain"
    prompt: str = field(default="", repr=False)
    image: bytes = field(default=b"", repr=False)
    mask: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Mix:
    """Shares of calls (weights; "check" is a third each of the three) and of what is not honest (0 … 1)."""

    calls: Mapping[str, float] = field(
        default_factory=lambda: {"create": 0.7, "edit": 0.1, "variation": 0.1, "check": 0.1}
    )
    violating: float = 0.04
    hostile: float = 0.01

    def __post_init__(self) -> None:
        """Raises ValueError for what is no mix."""
        if unknown := set(self.calls) - {"create", "edit", "variation", "check", *CHECKS}:
            raise ValueError(f"no call is named {', '.join(sorted(unknown))}")
        if not self.calls or min(self.calls.values()) < 0 or sum(self.calls.values()) <= 0:
            raise ValueError("shares are at least 0, and not all of them 0")
        if min(self.violating, self.hostile) < 0 or self.violating + self.hostile > 1:
            raise ValueError("violating and hostile are shares of all, together at most 1")


def asks(mix: Mix, accounts: int, random: Random) -> Iterator[Ask]:
    """Requests without end, of `accounts` users; the same `random` gives the same ones."""
    pictures = [drawn(random) for _ in range(PICTURES)]
    names, weights = list(mix.calls), list(mix.calls.values())
    while True:
        name = random.choices(names, weights)[0]
        kind: Kind = random.choice(CHECKS) if name == "check" else name  # type: ignore[assignment]
        ask = _plain(kind, f"load-{random.randrange(accounts)}", pictures, random)
        draw = random.random()
        if draw < mix.hostile:
            yield _hostile(ask, random)
        elif draw < mix.hostile + mix.violating and kind in WITH_WORDS:
            yield replace(ask, flavour="violating", prompt=random.choice(_VIOLATING))
        else:
            yield ask


def _plain(kind: Kind, account: str, pictures: list[tuple[bytes, bytes]], random: Random) -> Ask:
    prompt, image, mask = "", b"", b""
    if kind in WITH_WORDS:
        prompt = random.choice(_EDITS) if kind == "edit" else _words(random)
    if kind in WITH_PICTURE:
        image, mask = random.choice(pictures)
    return Ask(kind, account, "plain", prompt, image, mask if kind in ("edit", "check_pair") else b"")


def _words(random: Random) -> str:
    if random.random() < 0.5:
        first, second, ground = random.sample(_COLOURS, 3)
        shapes, place = random.sample(_SHAPES, 2), random.choice(_PLACES)
        return f"a {first} {shapes[0]} {place} a {second} {shapes[1]} on a {ground} background"
    return f"{random.choice(_SUBJECTS)} {random.choice(_SETTINGS)}, {random.choice(_STYLES)}"


def _hostile(ask: Ask, random: Random) -> Ask:
    """The same call with what an attacker would send: words in disguise or too many, or bytes that are no picture."""
    if ask.kind in WITH_PICTURE:
        image = random.choice((ask.image[: len(ask.image) // 2], random.randbytes(4096), enormous(), b"\xff\xd8\xff"))
        return replace(ask, flavour="hostile", image=image)
    words = random.choice(_VIOLATING)
    disguised = "\u200b".join(words.replace("a", "4").replace("i", "1").replace("o", "0"))
    return replace(ask, flavour="hostile", prompt=random.choice((disguised, words * 200, "\u202e" + words)))


def drawn(random: Random) -> tuple[bytes, bytes]:
    """A picture of 512×512 pixels with some shapes and a grain, as PNG or JPEG, and a mask of its middle."""
    side = 512
    ramp = np.linspace(0, 1, side)[:, None, None]
    ends = np.array([[random.randrange(40, 216) for _ in range(3)] for _ in range(2)], float)
    grain = np.random.default_rng(random.randrange(2**32)).normal(0, 3, (side, side, 3))
    ground = np.broadcast_to(ends[0] * (1 - ramp) + ends[1] * ramp, (side, side, 3)) + grain
    image = Image.fromarray(np.clip(ground, 0, 255).astype(np.uint8))
    pen = ImageDraw.Draw(image)
    for _ in range(random.randrange(2, 6)):
        x, y, r = random.randrange(80, 432), random.randrange(80, 432), random.randrange(20, 90)
        shape = pen.ellipse if random.random() < 0.5 else pen.rectangle
        shape((x - r, y - r, x + r, y + r), fill=random.choice(_COLOURS))
    mask = Image.new("L", (side, side))
    ImageDraw.Draw(mask).rectangle((side // 4, side // 4, side * 3 // 4, side * 3 // 4), fill=255)
    return _encoded(image, random.choice(("PNG", "JPEG"))), _encoded(mask, "PNG")


def enormous() -> bytes:
    """A small PNG whose header promises 50,000 × 50,000 pixels."""
    header = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(b"\0" * 64)) + _chunk(b"IEND")


def _chunk(kind: bytes, data: bytes = b"") -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _encoded(image: Image.Image, kind: str) -> bytes:
    out = BytesIO()
    image.save(out, kind)
    return out.getvalue()
