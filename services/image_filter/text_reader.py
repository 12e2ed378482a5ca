"""Reads what is written in pictures: where text may stand it is cut out, brought to a good size, found and read.

A line that reads badly is looked at again upside down and mirrored; where any still does, all again in more contrast.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import sqrt

import cv2
import numpy as np

from services.core.errors import Unavailable
from services.core.imaging import Rgb
from services.core.signals import Box, ModelVersion
from services.image_filter.geometry import at_most
from services.image_filter.text_blocks import Line, blocks, box_of
from services.image_filter.text_finder import Region, TextFinder
from services.image_filter.text_lines import LINE, Lines, Quad, cut, sides

PARTLY_READ = "text-partly-read"  # how a measurement says that there was more text than was read
_SIDE = 2048  # what is larger is looked at shrunk to this
_LETTERS, _LEAST_LETTERS = (
    36.0,
    10.0,
)  # height in pixels that capitals are brought to, and what must do where there is much
_ENLARGED = 3.0
_WHOLE, _MOST_WHOLE = 300_000, 1.5  # pixels of the whole, as lines are looked for in it: about 90 ms; and its most zoom
_SMALLEST = 12.0  # height of letters that are looked for where nothing was read
_LEAST_SEEN = 14.0  # height of letters below which the whole does not show them
_AREA = 160_000  # pixels of all that is looked at closer: about 50 ms
_COLUMNS = 2_600  # pixels along all lines that are read, at a height of 48: about 160 ms
_WELL, _READABLE = 0.88, 0.55  # confidence of a line that needs no second look, and of one that is read at all
_MOST_LINES = 50


View = tuple[Quad, Rgb]  # where a line stands, and its pixels


@dataclass(frozen=True, slots=True)
class PaintedText:
    """What stands in a picture, where, and the confidence of its least sure line, 0…1.

    `joined` texts are made of several lines, which are told one by one as well.
    """

    text: str
    box: Box
    confidence: float
    joined: bool = False


@dataclass(frozen=True, slots=True)
class Reading:
    """All that was read in one picture; `whole` is False where there is or may be more than there was time for."""

    texts: tuple[PaintedText, ...] = ()
    whole: bool = True


class TextReader:
    """Finds and reads texts; thread-safe. ConfigurationError where a part is missing."""

    def __init__(self, finder_uri: str, finder_sha256: str = "") -> None:
        self._finder = TextFinder(finder_uri, finder_sha256)
        self._lines = Lines()
        self.models: tuple[ModelVersion, ...] = (self._finder.model, self._lines.model)

    def read(self, batch: Sequence[Rgb]) -> list[Reading]:
        """What stands in each picture ((h, w, 3) uint8); Unavailable where it cannot be read. Blocks for its time."""
        return [self._read(picture) for picture in batch]

    def _read(self, picture: Rgb) -> Reading:
        small, factor = at_most(picture, _SIDE)
        try:
            lines, whole = self._look_for_lines(small)
        except Exception as error:  # foreign code errs in ways of its own; none of them means that there is no text
            raise Unavailable("the text in the picture could not be read") from error
        lines = [replace(line, quad=line.quad * np.float32(factor)) for line in lines]
        return Reading(tuple(_texts(lines, picture.shape[1], picture.shape[0])), whole)

    def _look_for_lines(self, picture: Rgb) -> tuple[list[Line], bool]:
        """The lines that can be read, and whether there was time for all."""
        regions = self._finder.find(picture)
        if not regions:
            return [], True
        height, width = picture.shape[:2]
        zoom = min(_MOST_WHOLE, sqrt(_WHOLE / (width * height)))
        # The finder sees whether there is text better than where it ends: so the whole is looked at, and closer
        # what is too small for that.
        whole = [(Region(0, 0, width, height, 1.0, 1.0), zoom)]
        small = [region for region in regions if region.letters * zoom < _LEAST_SEEN]
        parts, all_chosen = _within_budget(small) if small else ([], True)
        lines, all_read = self._read_regions(picture, parts + whole)
        if not lines:  # a dense page looks like a few large letters
            parts, all_chosen = _within_budget([replace(region, letters=_SMALLEST) for region in regions])
            lines, all_read = self._read_regions(picture, parts)
        # Not where there is much text: that took its time already.
        if all_read and all_chosen and min((line.confidence for line in lines), default=0.0) < _WELL:
            again, _ = self._read_regions(_stretched(picture), parts + whole)
            lines = _better(lines, again)
        return lines, all_read and all_chosen

    def _read_regions(self, picture: Rgb, parts: Sequence[tuple[Region, float]]) -> tuple[list[Line], bool]:
        quads = [quad for region, zoom in parts for quad in self._detect(picture, region, zoom)]
        return self._read_lines(picture, quads)

    def _detect(self, picture: Rgb, region: Region, zoom: float) -> list[Quad]:
        """The lines of a region, in pixels of the picture."""
        part = picture[region.y : region.y + region.h, region.x : region.x + region.w]
        size = max(16, round(region.w * zoom)), max(16, round(region.h * zoom))
        sized = cv2.resize(part, size, interpolation=cv2.INTER_AREA if zoom < 1 else cv2.INTER_CUBIC)
        back = np.array([region.w / size[0], region.h / size[1]], np.float32)
        corner = np.array([region.x, region.y], np.float32)
        return [quad * back + corner for quad in self._lines.detect(np.asarray(sized, np.uint8))]

    def _read_lines(self, picture: Rgb, quads: Sequence[Quad]) -> tuple[list[Line], bool]:
        """The readable lines, the largest first for as long as the budget lasts, and whether it lasted."""
        quads = sorted(_distinct(quads), key=lambda quad: -sides(quad)[1])
        affordable = quads[: _affordable(quads)]
        strips = [cut(picture, quad) for quad in affordable]
        turned = self._lines.upside_down(strips)
        views = [_view(quad, strip, int(down)) for quad, strip, down in zip(affordable, strips, turned, strict=True)]
        best = self._look(views, 0)
        budget = _COLUMNS - sum(strip.shape[1] for strip in strips)
        # The longest line is always looked at again: mirrored, "how to" reads well, but not as what it says.
        longest = max(range(len(best)), key=lambda i: strips[i].shape[1], default=0)
        again = [i for i, line in enumerate(best) if line.confidence < _WELL or i == longest]
        budget = self._look_again(best, views, again, (1, 2, 3), budget)
        if best and best[longest].mirrored:
            self._look_again(best, views, [i for i in range(len(best)) if i not in again], (2, 3), budget)
        readable = [line for line in best if line.confidence >= _READABLE and any(map(str.isalnum, line.text))]
        return readable, len(affordable) == len(quads)

    def _look(self, views: Sequence[View], way: int) -> list[Line]:
        """What lines say, looked at in one way."""
        seen = [_view(*view, way) for view in views]
        read = self._lines.read([strip for _, strip in seen])
        return [Line(*found, quad, mirrored=way > 1) for (quad, _), found in zip(seen, read, strict=True)]

    def _look_again(
        self, best: list[Line], views: Sequence[View], which: list[int], ways: Sequence[int], budget: int
    ) -> int:
        """Puts what reads better in other ways into `best`, as far as `budget` columns go; what is left of it."""
        for way in ways:
            affordable = []
            for i in which:
                if budget >= views[i][1].shape[1]:
                    budget -= views[i][1].shape[1]
                    affordable.append(i)
            for i, line in zip(affordable, self._look([views[i] for i in affordable], way), strict=True):
                best[i] = max(best[i], line, key=lambda line: line.confidence)
        return budget


def _zoom(region: Region) -> float:
    """What brings its letters to a good size."""
    return min(_ENLARGED, _LETTERS / region.letters)


def _within_budget(regions: Sequence[Region]) -> tuple[list[tuple[Region, float]], bool]:
    """The regions to look at closely, surest first, each with its zoom; and whether all have their turn."""
    least = _LEAST_LETTERS / _LETTERS
    parts = [part for region in regions for part in _parts(region, _AREA / 2 / (_zoom(region) * least) ** 2)]
    areas = [part.w * part.h * _zoom(part) ** 2 for part in parts]
    scale = min(1.0, max(sqrt(_AREA / sum(areas)), least))
    kept = max(1, int(np.searchsorted(np.cumsum(areas) * scale**2, _AREA * 1.01, side="right")))
    return [(part, _zoom(part) * scale) for part in parts[:kept]], kept == len(parts)


def _parts(region: Region, area: float) -> list[Region]:
    """A region in strips, the upper first, of which none is larger than `area`, but each three letters high."""
    high = max(int(area / region.w), round(3 * region.letters), 1)
    starts = range(0, max(1, region.h - round(region.letters)), max(1, high - round(region.letters)))
    return [replace(region, y=region.y + y, h=min(high, region.h - y)) for y in starts]


def _affordable(quads: Sequence[Quad]) -> int:
    """How many of the lines can be read."""
    columns = np.cumsum([LINE * sides(quad)[0] / sides(quad)[1] for quad in quads])
    return min(_MOST_LINES, max(1, int(np.searchsorted(columns, _COLUMNS)))) if len(quads) else 0


def _distinct(quads: Sequence[Quad]) -> list[Quad]:
    """Without lines found twice, or in part: the longer is kept."""
    kept: list[Quad] = []
    for quad in sorted(quads, key=lambda quad: -sides(quad)[0]):
        high = sides(quad)[1]
        if not any(_cover(quad, other) and 1 / 1.7 < high / sides(other)[1] < 1.7 for other in kept):
            kept.append(quad)
    return kept


def _better(lines: Sequence[Line], others: Sequence[Line]) -> list[Line]:
    """The lines of two looks: of those that stand in one place, the one with most that is sure."""
    kept: list[Line] = []
    for line in sorted([*lines, *others], key=lambda line: -line.confidence * sides(line.quad)[0]):
        if not any(_cover(line.quad, other.quad) for other in kept):
            kept.append(line)
    return kept


def _cover(quad: Quad, other: Quad) -> bool:
    """Whether the middle of one lies in the other."""
    return any(
        cv2.pointPolygonTest(one, tuple(map(float, two.mean(axis=0))), False) >= 0
        for one, two in ((quad, other), (other, quad))
    )


def _view(quad: Quad, strip: Rgb, way: int) -> View:
    """A line as it is (0), upside down (1), mirrored (2), or both (3)."""
    match way:
        case 0:
            return quad, strip
        case 1:
            return quad[[2, 3, 0, 1]], strip[::-1, ::-1]
        case 2:
            return quad[[1, 0, 3, 2]], strip[:, ::-1]
        case _:
            return quad[[3, 2, 1, 0]], strip[::-1]


def _stretched(picture: Rgb) -> Rgb:
    """In much more local contrast."""
    lab = cv2.cvtColor(picture, cv2.COLOR_RGB2LAB)
    lab[..., 0] = cv2.createCLAHE(8.0, (8, 8)).apply(lab[..., 0])
    return np.asarray(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB), np.uint8)


def _texts(lines: Sequence[Line], width: int, height: int) -> Iterator[PaintedText]:
    """Each line, each block of several, and all blocks together."""
    found = blocks(lines)
    everything = [line for block in found for line in block]
    rows = [[line] for line in everything] + found + [everything]
    for row in {tuple(map(id, row)): row for row in rows if row}.values():
        text = " ".join(line.text for line in row)
        yield PaintedText(text, box_of(row, width, height), min(line.confidence for line in row), len(row) > 1)
