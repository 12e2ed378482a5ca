"""Reads a picture back into a scene: its ground, and each object's colour, texture, shape, size and place."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from itertools import permutations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch.nn import functional

from services.generator.pixels import to_bytes
from training.generator.grounds import COLOURS, GROUNDS, ground
from training.generator.render import coverage, paint
from training.generator.scenes import PLACES, SIZES, TEXTURES, Item, Scene
from training.generator.shapes import FIELDS, REACH, SHAPES

Pixels = NDArray[np.uint8]
Mask = NDArray[np.bool_]

_DIFFERENT = 42  # of 255, in any channel, from the ground; what is drawn differs by 60 at least
_MIN_SHARE = 0.006  # of the picture's pixels; less is no object
_OFF, _ONE_THING = 60, 0.04  # grey levels off one colour and texture; share of such pixels that makes it two objects
_ENOUGH = 3000  # pixels of a surface that are looked at
_PATCH = 48  # side to which silhouettes are brought before they are compared
_NAMES = list(COLOURS)
_PALETTE = np.array(list(COLOURS.values()), dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Reading:
    """What a picture shows; with `overlap` two of the items touch, the one behind before the one in front."""

    ground: str
    items: tuple[Item, ...]
    overlap: bool = False


def read(picture: Pixels) -> Reading:
    """The scene in (S, S, 3) pixels."""
    name = _ground(picture)
    away = np.abs(picture.astype(np.float64) - _empty(name, len(picture))).max(axis=2) > _DIFFERENT
    labels, count = ndimage.label(ndimage.binary_dilation(away))  # a gap of a pixel parts nothing
    items: list[Item] = []
    overlap = False
    for label in range(1, count + 1):
        region = away & (labels == label)
        if ndimage.binary_opening(region, iterations=2).mean() >= _MIN_SHARE:
            found = _objects(picture, region)
            items += found
            overlap = overlap or len(found) > 1
    return Reading(name, tuple(items), overlap)


def says(scene: Scene, reading: Reading) -> dict[str, bool]:
    """Which parts of `scene` the picture has; and all of them. What the scene leaves unsaid is right as it is."""
    orders = permutations(reading.items) if len(reading.items) == len(scene.items) else []
    tries = [_compared(scene, order, reading.overlap) for order in orders]
    nothing = dict.fromkeys(("count", "colours", "shapes", "textures", "size", "place", "relation"), False)
    best = max(tries, key=lambda parts: sum(parts.values()), default=nothing)
    parts = {"ground": reading.ground == scene.ground, **best}
    return {**parts, "all": all(parts.values())}


def _compared(scene: Scene, items: tuple[Item, ...], overlap: bool) -> dict[str, bool]:
    def same(part: str) -> bool:
        return all(getattr(one, part) == getattr(other, part) for one, other in zip(scene.items, items, strict=True))

    single = len(items) == 1
    return {
        "count": True,
        "colours": same("colour"),
        "shapes": same("shape"),
        "textures": same("texture"),
        "size": not (single and scene.size) or _size(items[0].radius) == scene.size,
        "place": not (single and scene.place) or _place(items[0]) == scene.place,
        "relation": len(items) != 2 or _stands(items[0], items[1], scene.relation, overlap),
    }


def _stands(first: Item, second: Item, relation: str, overlap: bool) -> bool:
    across, down = second.x - first.x, second.y - first.y
    inside = max(abs(across), abs(down)) < 0.4 * second.radius and first.radius < 0.6 * second.radius
    match relation:
        case "above" | "below":
            return not inside and (down if relation == "above" else -down) > abs(across)
        case "left of" | "right of":
            return not inside and (across if relation == "left of" else -across) > abs(down)
        case "inside":
            return inside
        case "behind":
            return overlap and not inside and first.radius > second.radius
        case _:
            return True


def _size(radius: float) -> str:
    small, medium, large = SIZES["small"], SIZES[""], SIZES["large"]
    if radius < (small + medium) / 2:
        return "small"
    return "" if radius < (medium + large) / 2 else "large"


def _place(item: Item) -> str:
    """The nearest of the nine places, by how far the object is on its way to the edge."""
    reach = max(0.02, 0.48 - item.radius)
    steps = [int(np.clip(round((at - 0.5) / reach * 1.05), -1, 1)) for at in (item.x, item.y)]
    return next(name for name, place in PLACES.items() if list(place) == steps)


def _ground(picture: Pixels) -> str:
    """The ground that the picture's border shows."""
    side = len(picture)
    frame = np.ones((side, side), dtype=bool)
    inset = max(1, side // 64)
    frame[inset:-inset, inset:-inset] = False
    differences = [np.abs(picture[frame].astype(np.float64) - _empty(name, side)[frame]).mean() for name in GROUNDS]
    return GROUNDS[int(np.argmin(differences))]


@cache
def _empty(name: str, side: int) -> Pixels:
    empty: Pixels = to_bytes(ground(name, side)[None])[0].numpy()
    return empty


def _objects(picture: Pixels, region: Mask) -> list[Item]:
    """The one object of a region, or the two that touch."""
    inner = ndimage.binary_erosion(region, iterations=max(1, len(picture) // 64))
    inner = inner if inner.sum() > 20 else region
    colour, texture, strange = _surface(picture, inner)
    if strange < _ONE_THING:
        return [replace(_fitted(region)[0], colour=colour, texture=texture)]
    return _two(picture, region)


def _surface(picture: Pixels, inner: Mask) -> tuple[str, str, float]:
    """The colour and texture that explain the pixels best, and the share of pixels that they do not explain."""
    rows, columns = np.nonzero(inner)
    some = slice(None, None, max(1, len(rows) // _ENOUGH))
    spots = rows[some], columns[some]
    pixels = picture[spots].astype(np.float64)
    surfaces = [(colour, texture) for colour in COLOURS for texture in ("", *TEXTURES)]
    off = [np.abs(pixels - _painted(*surface, len(picture))[spots]) for surface in surfaces]
    best = int(np.argmin([each.mean() for each in off]))
    return *surfaces[best], float((off[best].max(axis=1) > _OFF).mean())


@cache
def _painted(colour: str, texture: str, side: int) -> Pixels:
    surface = paint([Item(colour, "square", 0.5, 0.5, 0.5, texture)], side).expand(1, 3, side, side)
    painted: Pixels = to_bytes(surface)[0].numpy()
    return painted


def _two(picture: Pixels, region: Mask) -> list[Item]:
    """Two touching objects, back and front: whichever order explains both silhouettes best."""
    names = np.square(picture[region].astype(np.float64)[:, None] - _PALETTE).sum(axis=2).argmin(axis=1)
    pair = np.bincount(names, minlength=len(_NAMES)).argsort()[::-1][:2]
    closer = np.square(picture.astype(np.float64)[:, :, None] - _PALETTE[pair]).sum(axis=3).argmin(axis=2)
    masks = [_cleaned(region & (closer == which)) for which in (0, 1)]
    if min(mask.mean() for mask in masks) < _MIN_SHARE:
        return [replace(_fitted(region)[0], colour=_NAMES[pair[0]])]
    best: tuple[float, list[Item]] = (-1.0, [])
    for back, front in ((0, 1), (1, 0)):
        if _encloses(masks[front], masks[back]):
            continue  # what lies within another is in front of it
        over, over_fit = _fitted(masks[front])
        under, under_fit = _hidden(masks[back], masks[front])
        items = [replace(under, colour=_NAMES[pair[back]]), replace(over, colour=_NAMES[pair[front]])]
        best = max(best, (min(over_fit, under_fit), items), key=lambda one: one[0])
    return best[1]


def _hidden(back: Mask, front: Mask) -> tuple[Item, float]:
    """The shape of what lies under `front`, by what is seen of it."""
    if _encloses(back, front):
        return _fitted(back, front)
    return _anchored(back, front)


def _encloses(outer: Mask, inner: Mask) -> bool:
    """Whether the inner lies within the outer's box, well away from all of its sides."""
    (top, bottom, left, right), (a, b, c, d) = _box(outer), _box(inner)
    gap = 0.1 * (bottom - top)
    return top + gap < a and b < bottom - gap and left + gap < c and d < right - gap


def _cleaned(mask: Mask) -> Mask:
    """The mask without edge lines and specks."""
    labels, count = ndimage.label(ndimage.binary_opening(mask, iterations=max(1, len(mask) // 200)))
    if count == 0:
        return mask & False
    sizes = np.bincount(labels.ravel())[1:]
    kept: Mask = np.isin(labels, 1 + np.flatnonzero(sizes > 0.15 * sizes.max()))
    return kept


def _box(mask: Mask) -> tuple[int, int, int, int]:
    """Top, bottom, left, right; the ends exclusive."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1


def _fitted(mask: Mask, hidden: Mask | None = None) -> tuple[Item, float]:
    """The shape whose silhouette, stretched over the mask's box, overlaps most; and its intersection over union."""
    side = len(mask)
    top, bottom, left, right = _box(mask)
    cut = _squared(mask[top:bottom, left:right])
    seen = None if hidden is None else 1 - _squared(hidden[top:bottom, left:right])
    overlaps = [
        _overlap(cut, one, seen) * _alike((right - left) / (bottom - top), shape) for shape, one in _masks().items()
    ]
    shape = SHAPES[int(np.argmax(overlaps))]
    x0, x1, y0, y1 = _extents()[shape]
    radius = max((right - left) / (x1 - x0), (bottom - top) / (y1 - y0)) / side
    x = (left + right) / 2 / side - (x0 + x1) / 2 * radius
    y = (top + bottom) / 2 / side - (y0 + y1) / 2 * radius
    return Item("", shape, x, y, radius), max(overlaps)


def _anchored(mask: Mask, hidden: Mask) -> tuple[Item, float]:
    """The shape behind `hidden`: its top and its free side are where they are seen, its size is searched for."""
    side = len(mask)
    top, bottom, left, right = _box(mask)
    free_left = np.flatnonzero(hidden.any(axis=0)).mean() > (left + right) / 2
    best: tuple[float, Item] = (-1.0, Item("", SHAPES[0], 0.5, 0.5, 0.1))
    seen = torch.from_numpy(~ndimage.binary_dilation(hidden, iterations=max(1, side // 128))).float()[::2, ::2]
    target = torch.from_numpy(mask).float()[::2, ::2]
    for shape, (x0, x1, y0, y1) in _extents().items():
        least = max((right - left) / (x1 - x0), (bottom - top) / (y1 - y0)) / side
        radii = least * np.linspace(0.97, 1.3, 12)
        items = [
            Item("", shape, (left / side - x0 * r) if free_left else (right / side - x1 * r), top / side - y0 * r, r)
            for r in map(float, radii)
        ]
        for item, drawn in zip(items, coverage(items, side // 2)[:, 0], strict=True):
            best = max(best, (_overlap(target, drawn, seen), item), key=lambda one: one[0])
    return best[1], best[0]


def _overlap(one: torch.Tensor, other: torch.Tensor, seen: torch.Tensor | None) -> float:
    """Intersection over union, where anything can be seen."""
    if seen is not None:
        one, other = one * seen, other * seen
    return float(torch.minimum(one, other).sum() / torch.maximum(one, other).sum().clamp(min=1))


def _alike(aspect: float, shape: str) -> float:
    """How well the box's width to height suits the shape, 0 … 1."""
    x0, x1, y0, y1 = _extents()[shape]
    wanted = (x1 - x0) / (y1 - y0)
    return min(aspect, wanted) / max(aspect, wanted)


def _squared(mask: Mask) -> torch.Tensor:
    picture = torch.from_numpy(mask.astype(np.float32))
    return functional.interpolate(picture[None, None], size=(_PATCH, _PATCH), mode="bilinear", antialias=True)[0, 0]


@cache
def _extents() -> dict[str, tuple[float, float, float, float]]:
    """Left, right, top, bottom of each unit shape, in radii."""
    extents = {}
    for shape, field in FIELDS.items():
        top, bottom, left, right = _box(field < 0)
        step = 2 * REACH / (len(field) - 1)
        extents[shape] = (left * step - REACH, right * step - REACH, top * step - REACH, bottom * step - REACH)
    return extents


@cache
def _masks() -> dict[str, torch.Tensor]:
    masks = {}
    for shape, field in FIELDS.items():
        top, bottom, left, right = _box(field < 0)
        masks[shape] = _squared((field < 0)[top:bottom, left:right])
    return masks
