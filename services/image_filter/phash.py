"""The perceptual hash of 256 bits, as `imagehash.phash(image, hash_size=16)` gives it, in all 8 orientations from one
transform. Hashes of 64 bits are not used: portraits of different people collide at a distance of 6.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from services.image_filter.waves import Bits, Plane, above, cosines, orientations, pack

_SIDE = 64
_WAVES = range(16)
_COSINES = cosines(_WAVES, _SIDE)


def phash_of(grey: Plane) -> Bits:
    """The hashes of all 8 orientations of a grey picture, (height, width) uint8: (8, 32) uint8, its own first."""
    reduced = np.asarray(Image.fromarray(grey).resize((_SIDE, _SIDE), Image.Resampling.LANCZOS), np.float64)
    views = orientations(_COSINES @ reduced @ _COSINES.T, _WAVES)
    return pack([above(view, np.median(view)) for view in views])
