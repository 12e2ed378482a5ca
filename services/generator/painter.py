"""From what latents say to pixels of any size: layers of implicit functions, one over the other.

A point is coloured by what its position says: of each object a silhouette, a function of the point's place in it (in
radii from its middle) and of the shape's code; a colour, a function of its code and the point; below all the ground.
After DeepSDF (Park et al., 2019), LIIF (Chen, Liu, Wang, 2021) and GIRAFFE (Niemeyer, Geiger, 2021). All of it is
learnt.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from services.generator.scene_latents import (
    GROUND,
    LOOK,
    MIDDLING,
    OFFSET,
    RADIUS,
    SHAPE,
    SLOT,
    SLOTS,
    agreed,
    is_object,
)

_LEAST, _MOST = 0.03, 0.6  # radii
_FINE = 6  # octaves of waves
_REACH = 1.3  # radii; beyond, a point is as far
_SHARP = 1000.0  # for edges about one pixel of 256 wide


class Painter(nn.Module):  # type: ignore[misc]  # as torch has here
    """Latents (N, 31, S, S) → pictures (N, 3, side, side), about −1 … 1."""

    def __init__(self) -> None:
        """0.05 million parameters."""
        super().__init__()
        self.silhouette = Layers(SHAPE + 2 + 4 * _FINE, (128, 128, 128), 1)
        self.object_paint = Layers(LOOK + 4 * _FINE, (64, 64, 64), 3)
        self.ground_paint = Layers(GROUND + 2 + 4 * _FINE, (128, 128, 128), 3)

    def forward(self, latents: Tensor, side: int) -> Tensor:
        """The picture."""
        line = (torch.arange(side, device=latents.device) + 0.5) / side
        points = torch.stack(torch.meshgrid(line, line, indexing="xy"), dim=-1).view(1, -1, 2)
        colours = self.paint(agreed(latents), points.expand(len(latents), -1, -1))
        return colours.transpose(1, 2).reshape(len(latents), 3, side, side)

    def paint(self, latents: Tensor, points: Tensor) -> Tensor:
        """Colours (N, P, 3) of points (N, P, 2) in 0 … 1: the ground, over it what is behind, over that what is in
        front.
        """
        side = latents.shape[-1]
        said = _at(latents, points)
        slots, ground = said[..., : SLOTS * SLOT].unflatten(-1, (SLOTS, SLOT)), said[..., SLOTS * SLOT :]
        colours = self.ground_colour(ground, points)
        middle = (torch.floor(points * side) + 0.5) / side
        for slot in reversed(slots.unbind(-2)):
            there = is_object(slot)
            shape, look, way, radius = slot[there].split((SHAPE, LOOK, 2, 1), dim=-1)
            radius = (radius / RADIUS + MIDDLING).clamp(_LEAST, _MOST)
            place = ((points[there] - middle[there] - way / OFFSET) / radius).clamp(-_REACH, _REACH)
            paint = self.object_colour(look, points[there])
            cover = torch.sigmoid(self.depth(shape, place) * radius * _SHARP)
            colours = colours.index_put((there,), torch.lerp(colours[there], paint, cover))
        return colours

    def object_colour(self, look: Tensor, points: Tensor) -> Tensor:
        """(…, 3) of points (…, 2) of objects whose colour and texture have codes (…, 5)."""
        colour: Tensor = self.object_paint(torch.cat([look, _waves(points)], dim=-1))
        return colour

    def ground_colour(self, ground: Tensor, points: Tensor) -> Tensor:
        """(…, 3) of points (…, 2) of grounds of codes (…, 5)."""
        colour: Tensor = self.ground_paint(torch.cat([ground, points, _waves(points)], dim=-1))
        return colour

    def depth(self, shape: Tensor, place: Tensor) -> Tensor:
        """How deep (…, 1) places (…, 2) lie inside the shapes of codes (…, 5), in radii; negative outside."""
        depth: Tensor = self.silhouette(torch.cat([shape, place, _waves(place / 4)], dim=-1))
        return depth


class Layers(nn.Module):  # type: ignore[misc]  # as torch has here
    """Linear layers with residual connections where the width allows."""

    def __init__(self, known: int, widths: Sequence[int], out: int) -> None:
        """(…, known) → (…, out)."""
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(*pair) for pair in zip((known, *widths[:-1]), widths, strict=True))
        self.out = nn.Linear(widths[-1], out)

    def forward(self, known: Tensor) -> Tensor:
        """As float32."""
        first, *rest = self.layers
        states = functional.silu(first(known))
        for layer in rest:
            states = states + functional.silu(layer(states))
        result: Tensor = self.out(states)
        return result.float()


def _waves(places: Tensor) -> Tensor:
    """(…, 2) → (…, 24): sine and cosine of each at one, two, four … 32 turns a unit."""
    turns = [2 * math.pi * 2**octave * places for octave in range(_FINE)]
    return torch.cat([wave(turn) for turn in turns for wave in (torch.sin, torch.cos)], dim=-1)


def _at(table: Tensor, points: Tensor) -> Tensor:
    """(N, P, C) of a table (N, C, S, S): each point's position."""
    side = table.shape[-1]
    column, row = (points * side).long().clamp(0, side - 1).unbind(-1)
    where = (row * side + column)[:, None].expand(-1, table.shape[1], -1)
    return table.flatten(2).gather(2, where).transpose(1, 2)
