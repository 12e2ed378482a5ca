"""Joins lines that belong together into one text: "how to make a" over "cake" is one sentence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from services.core.signals import Box
from services.image_filter.text_lines import Quad, sides

_PARALLEL = 0.94  # cosine of the angle between lines of one block
_HEIGHTS = 2.2  # times that one line may be higher than its neighbour
_NEXT_LINE, _NEXT_WORD = 2.4, 2.5  # distance to a neighbour below and beside, in heights


@dataclass(frozen=True, slots=True)
class Line:
    """A line as it is read: `quad` from its first letter's upper left corner, in reading direction; mirrored or not."""

    text: str
    confidence: float
    quad: Quad
    mirrored: bool = False


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a line stands, measured along and across the direction of another."""

    along: float
    across: float


def blocks(lines: Sequence[Line]) -> list[list[Line]]:
    """The lines that belong together, each block in reading order; blocks from top to bottom."""
    group = list(range(len(lines)))
    for one in range(len(lines)):
        for other in range(one):
            if group[one] != group[other] and _neighbours(lines[one], lines[other]):
                old, new = group[one], group[other]
                group = [new if value == old else value for value in group]
    found = [
        _in_order([line for line, own in zip(lines, group, strict=True) if own == value])
        for value in dict.fromkeys(group)
    ]
    return sorted(found, key=lambda block: min(float(line.quad[:, 1].min()) for line in block))


def box_of(lines: Sequence[Line], width: int, height: int) -> Box:
    """The rectangle around lines, in a picture of this size."""
    points = np.concatenate([line.quad for line in lines])
    left, top = np.clip(np.floor(points.min(axis=0)).astype(int), 0, (width - 1, height - 1))
    right, bottom = np.clip(np.ceil(points.max(axis=0)).astype(int), (left + 1, top + 1), (width, height))
    return Box(int(left), int(top), int(right - left), int(bottom - top))


def _direction(line: Line) -> tuple[Quad, Quad]:
    """Unit vectors along the line and down to the next one."""
    along = line.quad[1] - line.quad[0]
    along = along / max(float(np.linalg.norm(along)), 1e-6)
    down = np.array([-along[1], along[0]], np.float32)
    return along, -down if line.mirrored else down


def _place(line: Line, along: Quad, down: Quad) -> _Place:
    middle = line.quad.mean(axis=0)
    return _Place(float(middle @ along), float(middle @ down))


def _neighbours(a: Line, b: Line) -> bool:
    """Whether two lines read on from one to the other."""
    (wide_a, high_a), (wide_b, high_b) = sides(a.quad), sides(b.quad)
    along, down = _direction(a)
    if a.mirrored != b.mirrored or float(along @ _direction(b)[0]) < _PARALLEL:
        return False
    if max(high_a, high_b) > _HEIGHTS * min(high_a, high_b):
        return False
    here, there = _place(a, along, down), _place(b, along, down)
    height, across = (high_a + high_b) / 2, abs(here.across - there.across)
    gap = abs(here.along - there.along) - (wide_a + wide_b) / 2
    return gap < _NEXT_WORD * height if across < 0.6 * height else across < _NEXT_LINE * height and gap < 0


def _in_order(lines: list[Line]) -> list[Line]:
    """Row by row, each along its direction."""
    along, down = _direction(max(lines, key=lambda line: sides(line.quad)[0]))
    places = {id(line): _place(line, along, down) for line in lines}
    rows: list[list[Line]] = []
    for line in sorted(lines, key=lambda line: places[id(line)].across):
        if rows and places[id(line)].across - places[id(rows[-1][0])].across < 0.5 * sides(line.quad)[1]:
            rows[-1].append(line)
        else:
            rows.append([line])
    return [line for row in rows for line in sorted(row, key=lambda line: places[id(line)].along)]
