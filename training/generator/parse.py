"""Reads a rendered picture back into a scene: background, and colour, shape and place of each object."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch.nn import functional

from training.generator.scenes import COLOURS, SHAPES, TEMPLATES, Item, Scene

_PALETTE = np.array(list(COLOURS.values()), dtype=np.float64)
_NAMES = list(COLOURS)
_PATCH = 48
_DIFFERENT = 40  # of 255, in any channel; the closest two colours, orange and yellow, are 76 apart
_MIN_SHARE = 0.008  # of the picture's pixels; less is no object


def read(picture: NDArray[np.uint8]) -> tuple[str, list[Item]]:
    """Background colour and objects of (S, S, 3) pixels, objects from the top left to the bottom right."""
    border = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
    background = np.median(border, axis=0)
    away = np.abs(picture.astype(np.float64) - background).max(axis=2)
    labels, count = ndimage.label(away > _DIFFERENT)
    items = []
    for label in range(1, count + 1):
        region = labels == label
        if region.mean() >= _MIN_SHARE:
            items.append(_item(picture, region))
    return _nearest(background), sorted(items, key=lambda item: item.y + item.x)


def says(scene: Scene, background: str, items: list[Item]) -> dict[str, bool]:
    """Which parts of `scene` the read picture has: background, count, colours, shapes, relation; and all of them."""
    wanted = [(item.colour, item.shape) for item in scene.items]
    best = items if len(items) < 2 or _stands(items[0], items[1], scene.relation) else items[::-1]
    right = {
        "background": background == scene.background,
        "count": len(items) == len(wanted),
        "colours": [item.colour for item in best] == [colour for colour, _ in wanted],
        "shapes": [item.shape for item in best] == [shape for _, shape in wanted],
        "relation": len(wanted) == 1 or (len(best) == 2 and _stands(best[0], best[1], scene.relation)),
    }
    return {**right, "all": all(right.values())}


def _stands(first: Item, second: Item, relation: str) -> bool:
    across, down = second.x - first.x, second.y - first.y
    return {
        "above": down > abs(across),
        "below": -down > abs(across),
        "left of": across > abs(down),
        "right of": -across > abs(down),
        "": True,
    }[relation]


def _item(picture: NDArray[np.uint8], region: NDArray[np.bool_]) -> Item:
    side = region.shape[0]
    inner = ndimage.binary_erosion(region, iterations=max(1, side // 64))
    colour = np.median(picture[inner if inner.any() else region], axis=0)
    rows, columns = np.nonzero(region)
    box = (rows.min(), rows.max() + 1, columns.min(), columns.max() + 1)
    y, x = (box[0] + box[1]) / 2 / side, (box[2] + box[3]) / 2 / side
    radius = max(box[1] - box[0], box[3] - box[2]) / 2 / side
    return Item(_nearest(colour), _shape(region[box[0] : box[1], box[2] : box[3]]), float(x), float(y), float(radius))


def _nearest(colour: NDArray[np.float64]) -> str:
    return _NAMES[int(np.square(_PALETTE - colour).sum(axis=1).argmin())]


def _shape(cut: NDArray[np.bool_]) -> str:
    """The shape whose own mask, cut to its bounding box, overlaps most (intersection over union)."""
    mask = _squared(torch.from_numpy(cut.astype(np.float32)))
    overlap = [(torch.minimum(mask, one).sum() / torch.maximum(mask, one).sum()).item() for one in _MASKS]
    return SHAPES[int(np.argmax(overlap))]


def _squared(mask: torch.Tensor) -> torch.Tensor:
    return functional.interpolate(mask[None, None], size=(_PATCH, _PATCH), mode="bilinear", antialias=True)[0, 0]


def _templates() -> list[torch.Tensor]:
    masks = []
    for template in TEMPLATES[:, 0]:
        inside = template < 0
        rows, columns = inside.any(dim=1).nonzero(), inside.any(dim=0).nonzero()
        masks.append(_squared(inside[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1].float()))
    return masks


_MASKS = _templates()
