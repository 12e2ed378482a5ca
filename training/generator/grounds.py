"""What stands behind the objects: twelve plain colours, and five landscapes that are always the same."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Rgb = tuple[int, int, int]
Picture = NDArray[np.float64]

COLOURS: dict[str, Rgb] = {
    "red": (216, 32, 36),
    "orange": (249, 135, 20),
    "yellow": (252, 218, 45),
    "green": (30, 150, 60),
    "turquoise": (45, 200, 190),
    "blue": (35, 80, 225),
    "purple": (125, 45, 175),
    "pink": (250, 140, 195),
    "brown": (120, 70, 30),
    "grey": (135, 135, 140),
    "black": (18, 18, 22),
    "white": (250, 250, 250),
}
# Of stripes and dots: half way to white, or to black where the colour itself is light.
_LIGHT = 190
TINTS: dict[str, Rgb] = {
    name: tuple((each + (0 if sum(colour) / 3 > _LIGHT else 255)) // 2 for each in colour)
    for name, colour in COLOURS.items()
}
LANDSCAPES = ("sky", "sea", "meadow", "night", "desert")
GROUNDS = (*COLOURS, *LANDSCAPES)
DISTINCT = 60  # of 255 in some channel: an object's colour against every colour of its ground


@cache
def ground(name: str, side: int) -> Tensor:
    """The empty ground, (3, side, side) in −1 … 1."""
    line = (np.arange(side) + 0.5) / side
    x, y = np.meshgrid(line, line)
    picture = _PAINTERS[name](x, y) if name in _PAINTERS else np.broadcast_to(COLOURS[name], (side, side, 3))
    return torch.tensor(picture / 127.5 - 1, dtype=torch.float32).permute(2, 0, 1).contiguous()


@cache
def fits(colour: str, texture: str, name: str) -> bool:
    """Whether an object of `colour` stands out from every pixel of the ground, and its stripes or dots too."""
    pixels = (ground(name, 64) + 1) * 127.5
    for seen in (COLOURS[colour], *((TINTS[colour],) if texture else ())):
        away = (pixels - torch.tensor(seen, dtype=torch.float32)[:, None, None]).abs().amax(dim=0)
        if away.min() < DISTINCT:
            return False
    return True


def _blend(top: Rgb, bottom: Rgb, share: Picture) -> Picture:
    return np.asarray(top) * (1 - share[..., None]) + np.asarray(bottom) * share[..., None]


def _over(below: Picture, above: Picture, share: Picture) -> Picture:
    return below * (1 - share[..., None]) + above * share[..., None]


def _soft(distance: Picture, width: float = 0.008) -> Picture:
    """1 inside (negative distance), 0 outside, softly between."""
    return np.clip(0.5 - distance / width, 0, 1)


def _sky(x: Picture, y: Picture) -> Picture:
    puffs = [(0.18, 0.2, 0.09), (0.29, 0.17, 0.11), (0.39, 0.21, 0.08), (0.68, 0.42, 0.07), (0.78, 0.4, 0.09)]
    cloud = np.min([np.hypot(x - cx, (y - cy) * 1.7) - r for cx, cy, r in puffs], axis=0)
    picture = _blend((110, 170, 235), (185, 218, 246), y)
    return _over(picture, picture + 16, _soft(cloud, 0.04))


def _sea(x: Picture, y: Picture) -> Picture:
    water = _blend((80, 150, 190), (45, 105, 165), (y - 0.4) / 0.6)
    water = water + 9 * (np.sin(70 * y + 1.2 * np.sin(14 * x)) > 0.72)[..., None]
    return _over(_blend((205, 225, 240), (225, 235, 240), y / 0.4), water, _soft(0.4 - y))


def _meadow(x: Picture, y: Picture) -> Picture:
    hill = 0.5 + 0.04 * np.sin(6.0 * x + 0.6)
    near = 0.72 + 0.035 * np.sin(5.0 * x + 3.4)
    picture = _over(
        _blend((185, 220, 245), (215, 235, 248), y * 2), _blend((165, 210, 120), (150, 200, 105), y), _soft(hill - y)
    )
    return _over(picture, _blend((140, 195, 95), (125, 180, 85), y), _soft(near - y))


def _night(x: Picture, y: Picture) -> Picture:
    picture = _blend((12, 14, 46), (50, 48, 100), y)
    for cx, cy in np.random.default_rng(4).uniform(0.03, 0.97, (26, 2)):
        picture = _over(picture, picture + 70, _soft(np.hypot(x - cx, y - cy) - 0.007, 0.012))
    return picture


def _desert(x: Picture, y: Picture) -> Picture:
    dune = 0.55 + 0.05 * np.sin(5.5 * x + 1.0)
    near = 0.75 + 0.06 * np.sin(4.0 * x + 4.2)
    picture = _over(
        _blend((250, 222, 190), (252, 232, 205), y * 2), _blend((232, 192, 135), (226, 184, 126), y), _soft(dune - y)
    )
    return _over(picture, _blend((216, 172, 112), (208, 162, 104), y), _soft(near - y))


_PAINTERS = {"sky": _sky, "sea": _sea, "meadow": _meadow, "night": _night, "desert": _desert}
