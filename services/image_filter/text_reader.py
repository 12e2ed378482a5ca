"""Reads what is written in pictures: where text may stand it is cut out, brought to a good size, found and read.

A line that reads badly is looked at again upside down, mirrored and in more contrast, as far as one picture's budget
goes (`text_places`): what takes long is cut short, however the picture was made.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from services.core.errors import Unavailable
from services.core.imaging import Rgb
from services.core.signals import Box, ModelVersion
from services.image_filter.geometry import at_most
from services.image_filter.text_blocks import Line, blocks, box_of
from services.image_filter.text_finder import TextFinder
from services.image_filter.text_lines import Lines, Quad, columns, cut, sides
from services.image_filter.text_places import Place, Work, cost, faint, part_of, places

PARTLY_READ = "text-partly-read"  # how a measurement says that there was more text than was read
_SIDE = 2048  # what is larger is looked at shrunk to this
_EACH = 20  # what a line costs beside its columns, in columns
_WELL, _READABLE = 0.88, 0.55  # confidence of a line that needs no second look, and of one that is read at all
_MOST_LINES = 50
_ALWAYS = 3  # lines that are looked at mirrored however well they read
_UPRIGHT, _DOWN, _MIRRORED, _BOTH = range(4)  # ways to look at a line


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """A line that was found: where it stands in the picture, and where in the look that showed it, (h, w, 3)."""

    quad: Quad
    within: Quad
    look: Rgb


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
        work = Work(picture)
        looked_at, all_seen = places(picture, regions)
        found = self._detect(picture, looked_at, work)
        lines, all_read = self._read_lines(picture, found, work)
        return lines, all_read and all_seen

    def _detect(self, picture: Rgb, looked_at: Sequence[Place], work: Work) -> list[Found]:
        """The lines that show in these places."""
        found = []
        work.left -= cost(looked_at)
        for region, zoom in looked_at:
            part = part_of(picture, region)
            size = max(16, round(region.w * zoom)), max(16, round(region.h * zoom))
            look = cv2.resize(part, size, interpolation=cv2.INTER_AREA if zoom < 1 else cv2.INTER_CUBIC)
            back = np.array([region.w / size[0], region.h / size[1]], np.float32)
            corner = np.array([region.x, region.y], np.float32)
            shown = np.asarray(look, np.uint8)
            seen = _stretched(shown) if faint(part) else shown
            found += [Found(quad * back + corner, quad, shown) for quad in self._lines.detect(seen)]
        return found

    def _read_lines(self, picture: Rgb, found: Sequence[Found], work: Work) -> tuple[list[Line], bool]:
        """The readable lines, the largest first for as long as the budget lasts, and whether it lasted."""
        largest = sorted(found, key=lambda one: -sides(one.quad)[1])
        distinct = sorted(_distinct(largest[:_MOST_LINES]), key=lambda one: -sides(one.quad)[1])
        # The longest lines are always looked at again: mirrored, "how to" reads well, but not as what it says.
        longest = max((columns(one.quad) for one in distinct), default=0)
        kept = longest if longest < work.left / 3 else 0
        work.left -= kept
        chosen = [one for one in distinct if work.take(columns(one.quad) + _EACH)]
        work.left += kept
        strips = [cut(picture, one.quad) for one in chosen]
        turned = self._lines.upside_down(strips)
        views = [_view((one.quad, strip), int(down)) for one, strip, down in zip(chosen, strips, turned, strict=True)]
        best = [self._look(view, _UPRIGHT) for view in views]
        by_length = sorted(range(len(best)), key=lambda i: -strips[i].shape[1])
        self._look_again(best, views, by_length[:_ALWAYS], _MIRRORED, work)
        mirrored = any(line.mirrored for line in best)
        for way in (_MIRRORED, _DOWN, _BOTH):
            every = mirrored and way == _MIRRORED
            unsure = [i for i, line in enumerate(best) if every or line.confidence < _WELL]
            self._look_again(
                best, views, [i for i in unsure if way != _MIRRORED or i not in by_length[:_ALWAYS]], way, work
            )
        self._look_in_contrast(best, chosen, turned, work)
        readable = [line for line in best if line.confidence >= _READABLE and any(map(str.isalnum, line.text))]
        return readable, len(chosen) == len(distinct) and len(found) <= _MOST_LINES

    def _look(self, view: View, way: int) -> Line:
        """What a line says, looked at in one way."""
        quad, strip = _view(view, way)
        (read,) = self._lines.read([strip])
        return Line(*read, quad, mirrored=way in (_MIRRORED, _BOTH))

    def _look_again(self, best: list[Line], views: Sequence[View], which: Sequence[int], way: int, work: Work) -> None:
        """Puts what reads better in another way into `best`, as far as the budget goes."""
        for i in which:
            if work.take(views[i][1].shape[1]):
                best[i] = max(best[i], self._look(views[i], way), key=lambda line: line.confidence)

    def _look_in_contrast(self, best: list[Line], found: Sequence[Found], turned: Sequence[bool], work: Work) -> None:
        """The same for lines that are still unsure, out of their looks in more contrast."""
        looks: dict[int, Rgb] = {}
        for i, one in enumerate(found):
            if best[i].confidence < _WELL and work.take(columns(one.quad) + _EACH):
                if id(one.look) not in looks:
                    looks[id(one.look)] = _stretched(one.look)
                strip = cut(looks[id(one.look)], one.within)
                way = _MIRRORED if best[i].mirrored else _UPRIGHT
                again = self._look(_view((one.quad, strip), int(turned[i])), way)
                best[i] = max(best[i], again, key=lambda line: line.confidence)


def _distinct(found: Sequence[Found]) -> list[Found]:
    """Without lines found twice, or in part: the longer is kept."""
    kept: list[Found] = []
    for one in sorted(found, key=lambda one: -sides(one.quad)[0]):
        high = sides(one.quad)[1]
        if not any(_cover(one.quad, other.quad) and 1 / 1.7 < high / sides(other.quad)[1] < 1.7 for other in kept):
            kept.append(one)
    return kept


def _cover(quad: Quad, other: Quad) -> bool:
    """Whether the middle of one lies in the other."""
    return any(
        cv2.pointPolygonTest(one, tuple(map(float, two.mean(axis=0))), False) >= 0
        for one, two in ((quad, other), (other, quad))
    )


def _view(view: View, way: int) -> View:
    """A line as it is, upside down, mirrored, or both."""
    quad, strip = view
    match way:
        case 0:
            return view
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
