"""Scenes drawn once and seen again and again, in families: a scene, then others that differ from it in one thing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from services.generator.pixels import to_bytes
from training.generator.grounds import COLOURS, GROUNDS
from training.generator.render import render
from training.generator.scenes import Item, Scene, can_be, draw_known
from training.generator.shapes import SHAPES

FAMILY = 4
SHARES = (0.15, 0.25, 0.6)  # of the scenes have one, two, three objects; three are the hardest
HIDING = 0.4  # of all scenes have one object inside or behind another, the hardest to draw and to read


def draw_pool(rng: np.random.Generator, count: int) -> list[Scene]:
    """`count` scenes in families of four, none held out."""
    scenes: list[Scene] = []
    while len(scenes) < count:
        first = draw_taught(rng)
        scenes += [first, *(_sibling(rng, first) for _ in range(FAMILY - 1))]
    return scenes[:count]


def draw_taught(rng: np.random.Generator) -> Scene:
    """A scene to learn from."""
    scene = draw_known(rng, SHARES)
    if rng.random() < HIDING:
        while scene.relation not in ("inside", "behind"):
            scene = draw_known(rng, (0.0, 1.0, 0.0))
    return scene


def pictures(scenes: Sequence[Scene], side: int) -> Tensor:
    """(N, 3, side, side) uint8."""
    parts = [list(scenes[at : at + 100]) for at in range(0, len(scenes), 100)]
    return torch.cat([to_bytes(render(part, side)[0]).permute(0, 3, 1, 2) for part in parts])


def unit(pixels: Tensor) -> Tensor:
    """uint8 → float in −1 … 1."""
    return pixels.float() / 127.5 - 1


def _sibling(rng: np.random.Generator, scene: Scene) -> Scene:
    """The scene with another colour, shape, ground or order of colours; another scene where that cannot be."""
    for _ in range(20):
        other = _CHANGES[int(rng.integers(len(_CHANGES)))](rng, scene)
        if other != scene and not other.held_out() and can_be(other):
            return other
    return draw_taught(rng)


def _recoloured(rng: np.random.Generator, scene: Scene) -> Scene:
    return _changed(rng, scene, lambda item: replace(item, colour=str(rng.choice(list(COLOURS)))))


def _reshaped(rng: np.random.Generator, scene: Scene) -> Scene:
    return _changed(rng, scene, lambda item: replace(item, shape=str(rng.choice(SHAPES))))


def _elsewhere(rng: np.random.Generator, scene: Scene) -> Scene:
    return replace(scene, ground=str(rng.choice(GROUNDS)))


def _swapped(_rng: np.random.Generator, scene: Scene) -> Scene:
    colours = [item.colour for item in scene.items]
    turned = colours[1:] + colours[:1]
    items = (replace(item, colour=colour) for item, colour in zip(scene.items, turned, strict=True))
    return replace(scene, items=tuple(items))


def _changed(rng: np.random.Generator, scene: Scene, change: Callable[[Item], Item]) -> Scene:
    place = int(rng.integers(len(scene.items)))
    items = list(scene.items)
    items[place] = change(items[place])
    return replace(scene, items=tuple(items))


_CHANGES = (_recoloured, _reshaped, _reshaped, _elsewhere, _swapped)  # shapes are the hardest to tell apart
