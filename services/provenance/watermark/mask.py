"""How strong the mark may be at each pixel before it shows: more in texture, less on flat ground."""

from __future__ import annotations

import cv2
import numpy as np

from services.provenance.watermark.code import Floats

_SLOW = 3.0
_WINDOW = 9
_GROUND = 3.0
_EXPONENT = 0.6


def visibility_mask(grey: Floats) -> Floats:
    """Relative strength, mean square 1, for a luma plane 0 … 255.

    Texture masking: the deviation around a pixel, with single edges held down by a minimum filter, since ringing
    beside an edge on flat ground is what the eye finds first.
    """
    fast = grey - cv2.GaussianBlur(grey, (0, 0), _SLOW, borderType=cv2.BORDER_REFLECT)
    power = cv2.blur(fast * fast, (_WINDOW, _WINDOW), borderType=cv2.BORDER_REFLECT)
    calm = cv2.blur(cv2.erode(np.sqrt(np.maximum(power, 0)), np.ones((_WINDOW, _WINDOW), np.uint8)), (_WINDOW, _WINDOW))
    strength = (calm + _GROUND) ** _EXPONENT
    mask: Floats = (strength / np.sqrt(np.mean(strength**2))).astype(np.float32)
    return mask
