"""The fifteen silhouettes of the scenes, as signed distance fields over the unit shape."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Field = NDArray[np.float64]
Corners = list[tuple[float, float]]

REACH = 1.3  # fields cover −REACH … REACH radii
_SIDE = 209
_LINE = np.linspace(-REACH, REACH, _SIDE)
_X, _Y = np.meshgrid(_LINE, _LINE)


def _disc(x: float, y: float, radius: float) -> Field:
    return np.hypot(_X - x, _Y - y) - radius


def _box(width: float, height: float, x: float = 0.0, y: float = 0.0) -> Field:
    return np.maximum(np.abs(_X - x) - width, np.abs(_Y - y) - height)


def _polygon(corners: Corners) -> Field:
    """Signed distance to a simple polygon: nearest edge, and the sign by the even–odd rule."""
    nearest = np.full(_X.shape, np.inf)
    inside = np.zeros(_X.shape, dtype=bool)
    for (ax, ay), (bx, by) in zip(corners, corners[1:] + corners[:1], strict=True):
        along = np.clip(((_X - ax) * (bx - ax) + (_Y - ay) * (by - ay)) / ((bx - ax) ** 2 + (by - ay) ** 2), 0, 1)
        nearest = np.minimum(nearest, np.hypot(_X - ax - along * (bx - ax), _Y - ay - along * (by - ay)))
        if ay != by:
            inside ^= ((ay > _Y) != (by > _Y)) & ((bx - ax) * (_Y - ay) / (by - ay) + ax > _X)
    return np.where(inside, -nearest, nearest)


def _spikes(points: int, outer: float, inner: float) -> Corners:
    turns = np.arange(2 * points) * np.pi / points - np.pi / 2
    radii = np.where(np.arange(2 * points) % 2 == 0, outer, inner)
    return [(float(r * np.cos(t)), float(r * np.sin(t))) for r, t in zip(radii, turns, strict=True)]


def _curve(x: Field, y: Field) -> Corners:
    return list(zip(x.tolist(), y.tolist(), strict=True))


def _heart() -> Field:
    t = np.linspace(0, 2 * np.pi, 72, endpoint=False)
    y = -(13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)) / 16
    return _polygon(_curve(np.sin(t) ** 3, y))


def _flower() -> Field:
    t = np.linspace(0, 2 * np.pi, 120, endpoint=False)
    radius = 0.68 + 0.3 * np.cos(5 * (t + np.pi / 2))
    return np.maximum(_polygon(_curve(radius * np.cos(t), radius * np.sin(t))), -_disc(0, 0, 0.22))


def _fish() -> Field:
    body = (np.hypot((_X + 0.25) / 0.75, _Y / 0.5) - 1) * 0.5
    tail = _polygon([(0.25, 0.0), (1.0, -0.6), (0.85, 0.0), (1.0, 0.6)])
    return np.minimum(body, tail)


def _tree() -> Field:
    crown = _polygon(
        [(0.0, -1.0), (0.5, -0.25), (0.28, -0.25), (0.78, 0.55), (-0.78, 0.55), (-0.28, -0.25), (-0.5, -0.25)]
    )
    return np.minimum(crown, _box(0.17, 0.3, y=0.7))


def _boat() -> Field:
    hull = _polygon([(-1.0, 0.35), (1.0, 0.35), (0.6, 0.9), (-0.6, 0.9)])
    sails = np.minimum(
        _polygon([(0.06, -0.95), (0.85, 0.2), (0.06, 0.2)]), _polygon([(-0.08, -0.6), (-0.08, 0.2), (-0.7, 0.2)])
    )
    return np.minimum(np.minimum(hull, sails), _box(0.07, 0.65, y=-0.3))


def _house() -> Field:
    walls = _polygon([(-0.75, -0.1), (0.75, -0.1), (0.75, 0.9), (-0.75, 0.9)])
    roof = np.minimum(_polygon([(0.0, -0.95), (1.0, -0.05), (-1.0, -0.05)]), _box(0.12, 0.3, x=0.55, y=-0.65))
    return np.maximum(np.minimum(walls, roof), -_box(0.18, 0.3, y=0.65))


def _cloud() -> Field:
    puffs = [_disc(-0.6, 0.2, 0.38), _disc(-0.1, -0.12, 0.5), _disc(0.52, 0.1, 0.45), _box(0.6, 0.18, y=0.4)]
    return np.minimum.reduce(puffs)


FIELDS: dict[str, Field] = {
    "circle": _disc(0, 0, 0.95),
    "square": _box(0.82, 0.82),
    "triangle": _polygon([(0.0, -0.95), (1.0, 0.8), (-1.0, 0.8)]),
    "star": _polygon(_spikes(5, 1.05, 0.44)),
    "ring": np.abs(_disc(0, 0, 0.72)) - 0.24,
    "cross": np.minimum(_box(0.3, 0.95), _box(0.95, 0.3)),
    "heart": _heart(),
    "house": _house(),
    "tree": _tree(),
    "fish": _fish(),
    "boat": _boat(),
    "sun": _polygon(_spikes(9, 1.0, 0.62)),
    "moon": np.maximum(_disc(-0.05, 0, 0.95), -_disc(0.4, -0.12, 0.75)),
    "cloud": _cloud(),
    "flower": _flower(),
}
SHAPES = tuple(FIELDS)
# (shapes, 1, S, S), negative inside, in radii.
TEMPLATES: Tensor = torch.tensor(np.stack(list(FIELDS.values())), dtype=torch.float32)[:, None]
