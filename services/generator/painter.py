"""From what latents say to pixels of any size: layers of implicit functions, one over the other.

A point is coloured by what its position says: of each object a silhouette, a function of the point's place in it (in
radii from its middle) and of the shape's code; a colour, a function of its code and the point; below all the ground.
These functions are learnt, after DeepSDF (Park et al., 2019), LIIF (Chen, Liu, Wang, 2021) and GIRAFFE (Niemeyer,
Geiger, 2021).
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
_REACH = 1.15  # radii from the middle, across and down, beyond which no shape goes
_MANY = 4096  # points at a time: what fits into a core's own memory
_SHARP = 1000.0  # for edges about one pixel of 256 wide


class Painter(nn.Module):  # type: ignore[misc]  # as torch has here
    """Latents (N, 31, S, S) → pictures (N, 3, side, side), about −1 … 1."""

    def __init__(self) -> None:
        """0.09 million parameters."""
        super().__init__()
        self.silhouette = Layers(SHAPE + 2 + 4 * _FINE, (128, 128, 128), 1)
        self.object_paint = Layers(LOOK + 4 * _FINE, (64, 64, 64), 3)
        self.ground_paint = Layers(GROUND + 2 + 4 * _FINE, (128, 128, 128), 3)

    def forward(self, latents: Tensor, side: int) -> Tensor:
        """The ground, over it what is behind, over that what is in front."""
        said = agreed(latents)
        picture = self._ground(said[:, SLOTS * SLOT :], side)
        for slot in reversed(said[:, : SLOTS * SLOT].unflatten(1, (SLOTS, SLOT)).unbind(1)):
            picture = self._with_object(picture, slot)
        return picture

    def _ground(self, ground: Tensor, side: int) -> Tensor:
        """(N, 3, side, side), of half as many points, as it is soft."""
        points = _points(side // 2, ground.device)
        said = _at(ground, points)
        known = zip(said.flatten(0, 1).split(_MANY), points.repeat(len(said), 1).split(_MANY), strict=True)
        colours = torch.cat([self.ground_colour(*some) for some in known])
        small = colours.view(len(said), side // 2, side // 2, 3).movedim(-1, 1)
        return functional.interpolate(small, size=(side, side), mode="bilinear")

    def _with_object(self, picture: Tensor, slot: Tensor) -> Tensor:
        """The picture, over it what the positions of `slot` (N, 13, S, S) say; only points near objects matter."""
        points, side = _points(picture.shape[-1], picture.device), slot.shape[-1]
        said = _at(slot, points)
        middle = (torch.floor(points * side) + 0.5) / side + said[..., -3:-1] / OFFSET
        radius = (said[..., -1:] / RADIUS + MIDDLING).clamp(_LEAST, _MOST)
        place = (points - middle) / radius
        near = is_object(said) & (place.abs().amax(dim=-1) < _REACH)
        colours = picture.movedim(1, -1).flatten(1, 2).contiguous()
        for index in near.nonzero().split(_MANY):
            some = tuple(index.unbind(1))
            shape, look = said[some].split((SHAPE, LOOK, 3), dim=-1)[:2]
            cover = torch.sigmoid(self.depth(shape, place[some]) * radius[some] * _SHARP)
            colours[some] = torch.lerp(colours[some], self.object_colour(look, points[index[:, 1]]), cover)
        return colours.unflatten(1, picture.shape[2:]).movedim(-1, 1)

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
            states = functional.silu(layer(states)).add_(states)
        result: Tensor = self.out(states)
        return result.float()


def _waves(places: Tensor) -> Tensor:
    """(…, 2) → (…, 24): sine and cosine of each at one, two, four … 32 turns a unit."""
    turns = [2 * math.pi * 2**octave * places for octave in range(_FINE)]
    return torch.cat([wave(turn) for turn in turns for wave in (torch.sin, torch.cos)], dim=-1)


def _points(side: int, device: torch.device) -> Tensor:
    """(side², 2): the middles of pixels, 0 … 1."""
    line = (torch.arange(side, device=device) + 0.5) / side
    return torch.stack(torch.meshgrid(line, line, indexing="xy"), dim=-1).view(-1, 2)


def _at(table: Tensor, points: Tensor) -> Tensor:
    """(N, P, C) of a table (N, C, S, S): the position of each of the points (P, 2)."""
    side = table.shape[-1]
    column, row = (points * side).long().clamp(0, side - 1).unbind(-1)
    return table.flatten(2)[:, :, row * side + column].transpose(1, 2)
