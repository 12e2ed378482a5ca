"""What each latent position shows, said in channels of their own: a code of its shape, where that one's middle is, how
large it is; nothing where the ground is bare.

Pixels tell shapes by their edges, which a diffusion model learns last. Drawn together with what they show (Kouzelis et
al., "Boosting Generative Image Modeling via Joint Image-Feature Synthesis", 2025; features of a large model there, the
truth of the scene here), what is drawn comes as soon as colours do, and all positions of an object agree about it.
"""

from __future__ import annotations

from itertools import product

import torch
from torch import Tensor
from torch.nn import functional

from training.scenes.render import coverage, painted
from training.scenes.scenes import Item, Scene
from training.scenes.shapes import SHAPES

SHAPE = 5  # channels of a shape's code
WIDTH = SHAPE + 3
NOTHING = len(SHAPES)
_SHOWN = 0.05  # of a position that an object must cover to be shown there
_STRENGTH = 1.5
OFFSET, RADIUS, MIDDLING = 6.0, 12.0, 0.24  # so that these channels span as much
_FINE = 4  # samples of coverage a side of a position
_NONE = Item("black", "circle", 9.0, 9.0, 0.2)
# The words of even weight: any two differ in two places at least. The ground's is all zeros.
_WORDS = [word for word in product((-1.0, 1.0), repeat=SHAPE) if word.count(1.0) % 2 == 0][:NOTHING]
CODES = torch.cat([_STRENGTH * torch.tensor(_WORDS), torch.zeros(1, SHAPE)])


def codes(scenes: list[Scene], side: int) -> Tensor:
    """(N, 8, side, side): the shape's code; the way to its middle across and down; its radius."""
    shapes, places = shown(scenes, side)
    line = (torch.arange(side) + 0.5) / side
    x, y, radius = places.unbind(1)
    geometry = [(x - line) * OFFSET, (y - line[:, None]) * OFFSET, (radius - MIDDLING) * RADIUS]
    there = (shapes != NOTHING)[:, None]
    return torch.cat([CODES[shapes].permute(0, 3, 1, 2), torch.stack(geometry, dim=1) * there], dim=1)


def shown(scenes: list[Scene], side: int) -> tuple[Tensor, Tensor]:
    """Of the object whose visible part covers most of each position: the index of its shape (N, side, side), 15 for the
    bare ground; middle and radius (N, 3, side, side) in sides of the picture.
    """
    layers = [painted(scene) for scene in scenes]
    visible: list[Tensor] = []
    facts: list[Tensor] = []
    for index in range(max(len(layer) for layer in layers)):
        items = [layer[index] if index < len(layer) else _NONE for layer in layers]
        covered = functional.avg_pool2d(coverage(items, _FINE * side), _FINE)[:, 0]
        visible = [*(each * (1 - covered) for each in visible), covered]
        facts.append(torch.tensor([(SHAPES.index(item.shape), item.x, item.y, item.radius) for item in items]))
    most, which = torch.stack(visible).max(dim=0)
    chosen = torch.stack(facts, dim=2).gather(2, which.flatten(1)[:, None].expand(-1, 4, -1))
    chosen = chosen.view(-1, 4, side, side)
    return chosen[:, 0].long().masked_fill(most < _SHOWN, NOTHING), chosen[:, 1:]
