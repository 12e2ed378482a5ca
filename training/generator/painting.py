"""Trains the painter, which makes pixels of what latents say: silhouettes, colours of objects, grounds, each by itself.

Edges a pixel wide tell a network little about where it should have put them; distances do (Park et al., "DeepSDF",
2019).
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import torch
from torch import Tensor, nn
from torch.nn import functional

from services.generator.painter import Painter
from training.generator.codes import COLOUR_CODES, GROUND_CODES, SHAPE_CODES, TEXTURE_CODES
from training.generator.grounds import ground
from training.generator.learning import learn
from training.generator.render import paint
from training.generator.scenes import Item
from training.generator.shapes import REACH, TEMPLATES

PLACES, DEEPEST = 1024, 0.2  # places in each shape a step; radii from the edge beyond which all is as deep
SIDE, POINTS = 256, 65_536  # of pictures; points of all together a step
NOISE = 0.2  # at most, on what latents say

Colour = Callable[[Tensor, Tensor], Tensor]


def train_painter(steps: int) -> Painter:
    """A trained painter, in evaluation mode; `steps` for each of its parts."""
    painter = Painter().train()
    painter.silhouette = train_silhouettes(painter, steps)
    objects, grounds = looks(), torch.stack([ground(name, SIDE) for name in GROUND_CODES])
    painter.object_paint = train_colours(painter.object_paint, painter.object_colour, *objects, steps)
    words = torch.stack(list(GROUND_CODES.values()))
    painter.ground = train_colours(painter.ground, painter.ground, words, grounds, steps)
    return painter.eval()


def train_silhouettes(painter: Painter, steps: int) -> nn.Module:
    """What knows how far any place is from the edges of the shapes."""
    words = torch.stack(list(SHAPE_CODES.values()))

    def error() -> Tensor:
        place = (2 * torch.rand(len(words), PLACES, 2) - 1) * REACH
        sampled = functional.grid_sample(TEMPLATES, place[:, None] / REACH, padding_mode="border", align_corners=True)
        depth = -sampled[:, 0, 0, :, None].clamp(-DEEPEST, DEEPEST)
        difference = painter.depth(_noisy(words, PLACES), place) - depth
        return (difference.abs() / (depth.abs() + 0.03)).mean()

    return learn("silhouettes", painter.silhouette, [painter.silhouette], error, steps, rate=0.01)


def looks() -> tuple[Tensor, Tensor]:
    """Codes (36, 5) of all colours with all textures, and pictures (36, 3, 256, 256) full of them."""
    words, pictures = [], []
    for colour, texture in product(COLOUR_CODES, TEXTURE_CODES):
        words.append(torch.cat([COLOUR_CODES[colour], TEXTURE_CODES[texture]]))
        pictures.append(paint([Item(colour, "square", 0.5, 0.5, 1.0, texture)], SIDE).expand(-1, -1, SIDE, SIDE)[0])
    return torch.stack(words), torch.stack(pictures)


def train_colours(part: nn.Module, colour: Colour, words: Tensor, pictures: Tensor, steps: int) -> nn.Module:
    """What gives each point of `pictures` (N, 3, S, S) its colour, told only the words (N, C) of the picture."""
    each = POINTS // len(words)

    def error() -> Tensor:
        chosen = torch.randint(SIDE**2, (len(words), each))
        wanted = pictures.flatten(2).gather(2, chosen[:, None].expand(-1, 3, -1)).transpose(1, 2)
        points = torch.stack([(chosen % SIDE + 0.5) / SIDE, (chosen // SIDE + 0.5) / SIDE], dim=-1)
        difference = colour(_noisy(words, each), points) - wanted
        return (difference.abs() + difference.square()).mean()

    return learn("colours", part, [part], error, steps, rate=0.01)


def _noisy(words: Tensor, count: int) -> Tensor:
    """Each of the words (N, C) `count` times, never quite exact, (N, count, C)."""
    many = words[:, None].expand(-1, count, -1)
    return many + NOISE * torch.rand(len(words), 1, 1) * torch.randn(many.shape)
