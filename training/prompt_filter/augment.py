"""Changes a training text in ways that leave its labels as they are, the same for harmful and harmless ones.

So a style suffix, a caption beside the violation, or a slip of the keyboard never becomes a sign of either.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

_BEFORE = (
    "a photo of",
    "a picture of",
    "an image of",
    "draw",
    "generate an image of",
    "a painting of",
    "illustration of",
    "please show me",
    "a photograph showing",
    "create a picture of",
    "make an image where",
    "a realistic render of",
    "i want to see",
)
_AFTER = (
    "digital art",
    "4k",
    "highly detailed",
    "oil painting",
    "trending on artstation",
    "in the style of a comic",
    "cinematic lighting",
    "photorealistic",
    "watercolor",
    "8k, ultra realistic",
    "black and white photo",
    "anime style",
    "pencil sketch",
    "3d render, octane",
    "soft light, bokeh",
    "art by greg rutkowski",
    "cartoon style",
    "dramatic lighting, sharp focus",
    "vintage poster",
    "studio lighting",
)
_BESIDE, _STYLE, _OPENING, _SLIP = 0.08, 0.15, 0.1, 0.08
_SHORTEST_WORD = 4
_LONG = 300


def augment(text: str, captions: Sequence[str], random_: random.Random) -> str:
    """`text`, perhaps with an opening, a style, one of the harmless `captions` beside it, or a misspelt word."""
    if random_.random() < _SLIP:
        text = _slip(text, random_)
    if len(text) > _LONG:
        return text
    if random_.random() < _OPENING:
        text = f"{random_.choice(_BEFORE)} {text}"
    if random_.random() < _STYLE:
        text = ", ".join([text.rstrip(" .,"), *random_.sample(_AFTER, random_.choice((1, 1, 2)))])
    if random_.random() < _BESIDE:
        both = [text.rstrip(" .,"), random_.choice(captions).rstrip(" .,")]
        random_.shuffle(both)
        text = random_.choice((". ", ", ")).join(both)
    return text


def _slip(text: str, random_: random.Random) -> str:
    """One word with two letters swapped, one lost or one doubled."""
    words = text.split(" ")
    long = [index for index, word in enumerate(words) if len(word) > _SHORTEST_WORD and word.isalpha()]
    if not long:
        return text
    index = random_.choice(long)
    word = words[index]
    at = random_.randrange(1, len(word) - 2)
    words[index] = random_.choice(
        (
            word[:at] + word[at + 1] + word[at] + word[at + 2 :],
            word[:at] + word[at + 1 :],
            word[: at + 1] + word[at:],
        )
    )
    return " ".join(words)
