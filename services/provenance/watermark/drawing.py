"""Drawing the mark: as strong as this very picture needs it to come through hard roads, and taking an old one out."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from services.provenance.watermark.code import Floats
from services.provenance.watermark.mask import visibility_mask
from services.provenance.watermark.residual import fast, folded, luma, middle, repeat, residual, summed
from services.provenance.watermark.search import Lock, carried, lay
from services.provenance.watermark.tile import Spectrum, Tile

# The change of R, G and B that moves BT.601 luma by one with the least squared error.
_LUMA = np.array([0.299, 0.587, 0.114])
_DIRECTION = _LUMA / (_LUMA @ _LUMA)
# What the mark costs in structural similarity at nominal strength, and how far its power may go from there.
_LOSS = 0.0088
_LEAST, _MOST = 0.3, 4.0
# A picture that needs more pays for only a part of it, and one that needs less keeps some to spare.
_EQUITY = 0.8
_TRIED_SIDE = 480
# A larger picture has more of the mark beyond what is tried; a smaller one has little room, and is seldom cropped.
_CARE = 0.25


def drawn(rgb: NDArray[np.uint8], tile: Tile, spectrum: Spectrum, variant: int) -> NDArray[np.uint8]:
    """A copy of an H × W × 3 picture that carries a variant's spectrum."""
    grey = luma(rgb)
    mark = visibility_mask(grey, _LOSS) * repeat(tile.picture(spectrum, variant), grey.shape)
    tried = middle(grey + mark, _TRIED_SIDE)
    corner = [(whole - part) // 2 for whole, part in zip(grey.shape, tried.shape, strict=True)]
    begin = tile.shifts[variant] - corner
    size = grey.size / 512**2
    share = min(size, 1 / size) ** _CARE
    need = max(share * wanted / max(_left(road(tried), tile, spectrum, begin), 1.0) for road, wanted in _ROADS.items())
    return _added(rgb, mark, float(np.clip(need, _LEAST, _MOST)) ** (_EQUITY / 2))


def without(rgb: NDArray[np.uint8], tile: Tile, spectrum: Spectrum, variant: int, lock: Lock) -> NDArray[np.uint8]:
    """A copy of a picture without the mark that was found in it."""
    grey = luma(rgb)
    laid = lay(np.roll(tile.picture(spectrum, variant), -tile.shifts[variant], axis=(0, 1)), lock)
    mark = visibility_mask(grey, _LOSS) * repeat(laid, grey.shape)
    found, effect = (summed(fast(plane)) for plane in (grey, mark))
    share = float(np.vdot(effect, found) / np.vdot(effect, effect))
    return _added(rgb, mark, -min(max(share, 0.0), 2.0))


def _added(rgb: NDArray[np.uint8], mark: Floats, strength: float) -> NDArray[np.uint8]:
    change = cv2.merge([mark * np.float32(strength * share) for share in _DIRECTION])
    marked: NDArray[np.uint8] = cv2.add(rgb, change, dtype=cv2.CV_8U)
    return marked


def _shrunk(marked: Floats) -> Floats:
    """As it comes back from half the size at JPEG quality 50."""
    height, width = marked.shape
    small = cv2.resize(
        cv2.convertScaleAbs(marked), (max(1, width // 2), max(1, height // 2)), interpolation=cv2.INTER_AREA
    )
    coded = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 50])[1]
    plain = np.asarray(cv2.imdecode(coded, cv2.IMREAD_GRAYSCALE), np.float32)
    copy: Floats = cv2.resize(plain, (width, height), interpolation=cv2.INTER_CUBIC)
    return copy


def _wiped(marked: Floats) -> Floats:
    """As a strong denoiser leaves it: flat ground is averaged over 13 pixels, texture stays."""
    mean = cv2.blur(marked, (13, 13))
    variance = cv2.blur(marked * marked, (13, 13)) - mean * mean
    share = np.exp(np.minimum(2.0 - variance / np.float32(30.0), 0.0))
    copy: Floats = marked + share * (mean - marked)
    return copy


# How much of the mark should come through, in squared deviations: at about 200 it can be read.
_ROADS: dict[Callable[[Floats], Floats], float] = {_shrunk: 465.0, _wiped: 715.0}


def _left(copy: Floats, tile: Tile, spectrum: Spectrum, begin: NDArray[np.int64]) -> float:
    """The squared deviations by which a copy fits a spectrum whose tile begins at a pixel."""
    values, weights = carried(folded(residual(copy)), tile, 0)
    aligned = tile.moved(values, *begin.tolist()) * weights
    match = float((aligned * np.conj(spectrum / tile.amplitudes)).real[tile.used].sum())
    return max(match, 0.0) ** 2 / (float((weights[tile.used] ** 2).sum()) / 2)
