"""Where lines are looked for in a picture, how closely, and how much of all that one picture may cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import sqrt

import cv2
import numpy as np

from services.core.imaging import Rgb
from services.image_filter.text_finder import Region

WORK = 5_000  # what one picture may cost, in columns of lines that are read; such a column takes 0.06 to 0.08 ms
_GATE = 400  # of them for finding out whether there is text, for each million pixels
PIXELS = 240  # of a picture that lines are looked for in, for the price of one column
LETTERS = 36.0  # height in pixels that capitals are brought to
_LEAST_LETTERS = 10.0  # what must do where there is much
_ENLARGED = 3.0
_AREA, _MOST_ZOOM = 280_000, 1.5  # pixels of what is around all that may be text: about 85 ms; and its most zoom
_CLOSE = 150_000  # pixels of all that is looked at more closely: about 45 ms
_LEAST_SEEN = 14.0  # height of letters below which the whole does not show them
_FAINT = 24.0  # standard deviation of the levels of a part, 0…127, below which it is looked at in more contrast

Place = tuple[Region, float]  # a part of a picture, and its zoom


class Work:
    """What is left of a picture's budget, in columns. It is counted, not timed: a busy machine reads no less."""

    def __init__(self, picture: Rgb) -> None:
        self.left = WORK - _GATE * picture.shape[0] * picture.shape[1] / 1e6

    def take(self, cost: float) -> bool:
        """Whether that much was left; it is spent then."""
        if cost > self.left:
            return False
        self.left -= cost
        return True


def places(picture: Rgb, regions: Sequence[Region]) -> tuple[list[Place], bool]:
    """What is looked at: all regions in one, and closely those too small or too faint for that; whether none must wait.

    The finder sees whether there is text better than where it ends, so that the one around all is wide.
    """
    around = _around(regions, picture.shape[1], picture.shape[0])
    zoom = _zoom_of(around, _AREA)
    close = [one for one in regions if one.letters * zoom < _LEAST_SEEN or faint(part_of(picture, one))]
    if not close:
        return [(around, zoom)], True
    parts, complete = within_budget(close, _CLOSE)
    return [*parts, (around, zoom)], complete


def part_of(picture: Rgb, region: Region) -> Rgb:
    """The pixels of a region."""
    return picture[region.y : region.y + region.h, region.x : region.x + region.w]


def faint(part: Rgb) -> bool:
    """Whether so little differs in it that letters may be lost."""
    return float(cv2.meanStdDev(part)[1].max()) < _FAINT


def cost(looked_at: Sequence[Place]) -> float:
    """Of looking for lines there, in columns."""
    return sum(part.w * part.h * zoom**2 for part, zoom in looked_at) / PIXELS


def within_budget(regions: Sequence[Region], budget: float) -> tuple[list[Place], bool]:
    """The regions to look at closely, surest first, each with its zoom; and whether all have their turn.

    `budget` is in pixels after zooming.
    """
    least = _LEAST_LETTERS / LETTERS
    parts = [part for region in regions for part in _parts(region, budget / 2 / (_zoom(region) * least) ** 2)]
    areas = [part.w * part.h * _zoom(part) ** 2 for part in parts]
    scale = min(1.0, max(sqrt(budget / sum(areas)), least))
    kept = max(1, int(np.searchsorted(np.cumsum(areas) * scale**2, budget * 1.01, side="right")))
    return [(part, _zoom(part) * scale) for part in parts[:kept]], kept == len(parts)


def _around(regions: Sequence[Region], width: int, height: int) -> Region:
    """The rectangle around all regions, three letters wider on each side."""
    pad = round(3 * max(region.letters for region in regions))
    left, top = max(0, min(one.x for one in regions) - pad), max(0, min(one.y for one in regions) - pad)
    right = min(width, max(one.x + one.w for one in regions) + pad)
    bottom = min(height, max(one.y + one.h for one in regions) + pad)
    return Region(left, top, right - left, bottom - top, min(one.letters for one in regions), 1.0)


def _zoom_of(region: Region, pixels: float) -> float:
    return min(_MOST_ZOOM, sqrt(pixels / (region.w * region.h)))


def _zoom(region: Region) -> float:
    """What brings its letters to a good size."""
    return min(_ENLARGED, LETTERS / region.letters)


def _parts(region: Region, area: float) -> list[Region]:
    """A region in strips, the upper first, of which none is larger than `area`, but each three letters high."""
    high = max(int(area / region.w), round(3 * region.letters), 1)
    starts = range(0, max(1, region.h - round(region.letters)), max(1, high - round(region.letters)))
    return [replace(region, y=region.y + y, h=min(high, region.h - y)) for y in starts]
