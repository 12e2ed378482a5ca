"""Latents that say what is where: of each position of the picture the object in front, the one behind it, the ground.

Pixels tell shapes by their edges, which a diffusion model learns last. A word of a few ±1.5 for each colour and shape,
the way to the object's middle and its radius, the same over all of an object, are learnt at once; `Painter` makes the
pixels. Drawing what is shown rather than how it looks goes back to layouts of objects (Gafni et al., "Make-A-Scene",
2022) and semantic latents (Kouzelis et al., "Boosting Generative Image Modeling via Joint Image-Feature Synthesis",
2025).
"""

from __future__ import annotations

from itertools import product

import torch
from torch import Tensor
from torch.nn import functional

from services.generator.scene_latents import GROUND, MIDDLING, OFFSET, RADIUS, SLOT, SLOTS, STRENGTH
from training.generator.grounds import COLOURS, GROUNDS
from training.generator.render import NOTHING, coverage, painted
from training.generator.scenes import Item, Scene
from training.generator.shapes import SHAPES

SIDE = 8  # positions
_SHOWN = 0.01  # of a position that an object must reach into to be said there
_FINE = 4  # samples of coverage a side of a position
TEXTURE_CODES = {"": torch.zeros(1), "striped": torch.tensor([STRENGTH]), "dotted": torch.tensor([-STRENGTH])}


def _words(width: int, count: int) -> Tensor:
    """`count` words of ±1; those of even weight first, any two of which differ in two places at least."""
    words = sorted(product((-1.0, 1.0), repeat=width), key=lambda word: word.count(1.0) % 2)
    return torch.tensor(words[:count])


SHAPE_CODES = dict(zip(SHAPES, STRENGTH * _words(5, len(SHAPES)), strict=True))
COLOUR_CODES = dict(zip(COLOURS, STRENGTH * _words(4, len(COLOURS)), strict=True))
GROUND_CODES = dict(zip(GROUNDS, _words(GROUND, len(GROUNDS)), strict=True))


def codes(scenes: list[Scene]) -> Tensor:
    """(N, 31, 8, 8): twice shape (5), colour (4), texture (1), the way to the middle across and down, radius, all zero
    where there is no object; then the ground (5).
    """
    layers = [painted(scene)[::-1] for scene in scenes]
    said = torch.zeros(len(scenes), SLOTS, SLOT, SIDE, SIDE)
    taken = torch.zeros(len(scenes), SIDE, SIDE, dtype=torch.long)
    for index in range(max(len(layer) for layer in layers)):
        items = [layer[index] if index < len(layer) else NOTHING for layer in layers]
        there = functional.avg_pool2d(coverage(items, _FINE * SIDE), _FINE)[:, 0] > _SHOWN
        facts = _facts(items)
        for slot in range(SLOTS):
            said[:, slot] = torch.where((there & (taken == slot))[:, None], facts, said[:, slot])
        taken += there
    grounds = torch.stack([GROUND_CODES[scene.ground] for scene in scenes])[:, :, None, None]
    return torch.cat([said.flatten(1, 2), grounds.expand(-1, -1, SIDE, SIDE)], dim=1)


def _facts(items: list[Item]) -> Tensor:
    """What each position would say of the item, (N, 13, 8, 8)."""
    words = [
        torch.cat([SHAPE_CODES[item.shape], COLOUR_CODES[item.colour], TEXTURE_CODES[item.texture]]) for item in items
    ]
    line = (torch.arange(SIDE) + 0.5) / SIDE
    x, y, radius = torch.tensor([(item.x, item.y, item.radius) for item in items])[:, :, None, None].unbind(1)
    geometry = [(x - line) * OFFSET, (y - line[:, None]) * OFFSET, (radius - MIDDLING) * RADIUS]
    everywhere = [each.expand(-1, SIDE, SIDE) for each in geometry]
    return torch.cat([torch.stack(words)[:, :, None, None].expand(-1, -1, SIDE, SIDE), torch.stack(everywhere, 1)], 1)
