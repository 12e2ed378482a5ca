"""How strong the mark may be at each pixel before it shows: more in texture, less on flat ground."""

from __future__ import annotations

import cv2
import numpy as np

from services.provenance.watermark.code import Floats

# Variances are of three by three cells of two pixels, about SSIM's window.
_CELL, _AROUND = 2, 3
_GROUND = 3.0
# Beyond this variance more strength costs more error than it brings.
_ENOUGH = 120.0
# SSIM's constant for contrast, (0.03 · 255)², and the share of a fine mark's power that its window sees.
_CONTRAST = 58.5
_SEEN = 0.72


def visibility_mask(grey: Floats, loss: float) -> Floats:
    """The deviation of the mark at each pixel of a luma plane 0 … 255, for a structural similarity of 1 − `loss`.

    SSIM (Wang et al., "Image quality assessment: from error visibility to structural similarity", IEEE TIP 13, 2004)
    forgives noise in proportion to the variance around it, and so does this: texture masking. Single edges are held
    down by a minimum filter, since ringing beside an edge on flat ground is what the eye finds first.
    """
    height, width = grey.shape
    size = (max(1, width // _CELL), max(1, height // _CELL))
    mean, square = (_averaged(cv2.resize(plane, size, interpolation=cv2.INTER_AREA)) for plane in (grey, grey * grey))
    variance = np.maximum(square - mean * mean, 0.0)
    calm = _averaged(cv2.erode(variance, np.ones((_AROUND, _AROUND), np.uint8)))
    power = calm + np.float32(_GROUND)
    power /= 1 + power / np.float32(_ENOUGH)
    lost = float(np.mean(power / (2 * variance + _CONTRAST))) * _SEEN
    mask: Floats = cv2.resize(np.sqrt(power * np.float32(loss / lost)), (width, height))
    return mask


def _averaged(cells: Floats) -> Floats:
    averaged: Floats = cv2.blur(cells, (_AROUND, _AROUND), borderType=cv2.BORDER_REFLECT)
    return averaged
