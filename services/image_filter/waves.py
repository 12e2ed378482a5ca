"""What hashes of 256 bits have in common: the lowest waves of a cosine transform, in all 8 orientations, as bits.

The transform of a turned or mirrored picture is the picture's own, transposed, with the signs of its odd waves changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Bits = NDArray[np.uint8]
Plane = NDArray[Any]  # of floats

ORIENTATIONS = 8
HASH_BITS = 256


def cosines(waves: Sequence[int], samples: int) -> NDArray[np.float64]:
    """Rows of the orthonormal cosine transform (type II), (waves, samples)."""
    at = 2 * np.arange(samples) + 1
    angles = np.pi * np.asarray(waves)[:, None] * at / (2 * samples)
    return np.asarray(np.sqrt(2 / samples) * np.cos(angles), np.float64)


def orientations(transform: Plane, waves: Sequence[int]) -> list[Plane]:
    """The transforms of the 4 turns of a picture and of its mirror image; its own, (…, waves, waves), comes first."""
    mirrored = np.where(np.asarray(waves) % 2, -1, 1).astype(transform.dtype)
    return [
        view * vertical * horizontal
        for view in (transform, transform.swapaxes(-1, -2))
        for vertical in (1, mirrored[:, None])
        for horizontal in (1, mirrored)
    ]


def above(transform: Plane, limit: Any) -> NDArray[np.bool_]:
    """Which waves are above `limit`."""
    return np.asarray(transform > limit, np.bool_)


def pack(bits: Sequence[NDArray[np.bool_]]) -> Bits:
    """Hashes, (n, 32) uint8, of n × 256 bits."""
    return np.packbits(np.array(bits, np.bool_).reshape(-1, HASH_BITS), axis=1)
