"""The visible signature: a row of coloured squares in the lower right corner, as DALL·E 2 had.

Anyone can draw it or crop it off, so it tells people, and proves nothing. Size, colours and whether it is drawn are the
policy's.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from services.core.policy.signature_rules import SignatureRules

Rgb = NDArray[np.uint8]

DEFAULT = SignatureRules()
_TOLERANCE = 90.0


def draw(rgb: Rgb, rules: SignatureRules = DEFAULT) -> Rgb:
    """A copy of an H × W × 3 sRGB picture with the bar in its corner; where it is too narrow for it, or not to show,
    without.
    """
    signed, palette, side = rgb.copy(), _palette(rules), _side(rgb, rules)
    if rules.show and side * len(palette) <= rgb.shape[1]:
        signed[-side:, -side * len(palette) :] = np.repeat(palette, side, axis=0)
    return signed


def detect(rgb: Rgb, rules: SignatureRules = DEFAULT) -> bool:
    """Whether every square of the bar is where it would be, within what JPEG and rescaling do to colours."""
    palette, side = _palette(rules), _side(rgb, rules)
    if side * len(palette) > rgb.shape[1]:
        return False
    corner = rgb[-side:, -side * len(palette) :].astype(np.float32)
    inset = side // 4
    squares = corner.reshape(side, len(palette), side, 3)[inset : side - inset, :, inset : side - inset]
    distance = np.linalg.norm(squares.mean(axis=(0, 2)) - palette, axis=1)
    return bool(distance.max() <= _TOLERANCE)


def _palette(rules: SignatureRules) -> Rgb:
    return np.array([list(bytes.fromhex(colour[1:])) for colour in rules.palette], np.uint8)


def _side(rgb: Rgb, rules: SignatureRules) -> int:
    shorter: int = min(rgb.shape[:2])
    return max(1, round(shorter / rules.squares))
