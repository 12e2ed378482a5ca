"""From what latents say to pixels of any size: layers of implicit functions, one over the other.

A point is coloured by what its position says: of each object a silhouette, a function of the point's place in it (in
radii from its middle) and of the shape's code; a colour, a function of its code and the point; below all the ground, a
function of its code and of features of the point. All are learnt, after DeepSDF (Park et al., 2019), LIIF (Chen, Liu,
Wang, 2021), GIRAFFE (Niemeyer, Geiger, 2021) and K-Planes (Fridovich-Keil et al., 2023).
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
_FEATURES, _FINEST = 12, 256  # of a point; points of a side
_FASTER = 30.0  # do features learn, by how they are scaled (Karras et al., "Progressive Growing of GANs", 2018)
_FINE = 6  # octaves of waves
_REACH = 1.15  # radii from the middle, across and down, beyond which no shape goes
_OUTSIDE = -1.0  # radii
_FAINT = 1 / 512  # of a pixel: less cannot be seen
_MANY = 4096  # points at a time: what fits into a core's own memory
_SHARP = 1000.0  # for edges about one pixel of 256 wide


class Painter(nn.Module):  # type: ignore[misc]  # as torch has here
    """Latents (N, 31, S, S) → pictures (N, 3, side, side), about −1 … 1."""

    def __init__(self) -> None:
        """0.9 million parameters, nearly all of them features of the ground."""
        super().__init__()
        self.silhouette = Layers(SHAPE + 2 + 4 * _FINE, (128, 128, 128), 1)
        self.object_paint = Layers(LOOK + 4 * _FINE, (64, 64, 64), 3)
        self.ground = Ground()

    def forward(self, latents: Tensor, side: int) -> Tensor:
        """The ground, over it what is behind, over that what is in front."""
        said = agreed(latents)
        picture = self._empty(said[:, SLOTS * SLOT :], side)
        for slot in reversed(said[:, : SLOTS * SLOT].unflatten(1, (SLOTS, SLOT)).unbind(1)):
            picture = self._with_object(picture, slot)
        return picture

    def _empty(self, ground: Tensor, side: int) -> Tensor:
        """(N, 3, side, side)."""
        points = _points(side, ground.device)
        said = _at(ground, points).flatten(0, 1)
        known = zip(said.split(_MANY), points.repeat(len(ground), 1).split(_MANY), strict=True)
        colours = torch.cat([self.ground(*some) for some in known])
        return colours.view(len(ground), side, side, 3).movedim(-1, 1)

    def _with_object(self, picture: Tensor, slot: Tensor) -> Tensor:
        """The picture, over it what the positions of `slot` (N, 13, S, S) say."""
        colours, side = picture.movedim(1, -1).contiguous(), picture.shape[-1]
        known = slot.movedim(1, -1)
        image, row, column = is_object(known).nonzero().unbind(1)
        said = known[image, row, column]
        size = side // slot.shape[-1]
        cover = self._cover(said, size, side)
        for index in (cover > _FAINT).nonzero().split(_MANY):
            which, y, x = index.unbind(1)
            place = (image[which], row[which] * size + y, column[which] * size + x)
            points = (torch.stack(place[:0:-1], dim=1) + 0.5) / side
            colour = self.object_colour(said[which, SHAPE : SHAPE + LOOK], points)
            colours[place] = torch.lerp(colours[place], colour, cover[which, y, x, None])
        return colours.movedim(-1, 1)

    def _cover(self, said: Tensor, size: int, side: int) -> Tensor:
        """How much objects (P, 13) cover of each pixel of the positions that say them, (P, size, size), 0 … 1.

        Depths are worked out for every second pixel, as they are smooth, and only near objects.
        """
        shape, _look, way = said.split((SHAPE, LOOK, 3), dim=1)
        radius = (way[:, 2:] / RADIUS + MIDDLING).clamp(_LEAST, _MOST)[:, None]
        middle = (size / 2 / side + way[:, :2] / OFFSET)[:, None]
        line = (torch.arange(size // 2 + 2, device=said.device) * 2 - 1) / side  # one beyond either end
        place = (torch.stack(torch.meshgrid(line, line, indexing="xy"), dim=-1).view(1, -1, 2) - middle) / radius
        depth = torch.full(place.shape[:2], _OUTSIDE, device=said.device)
        for index in (place.abs().amax(dim=-1) < _REACH).nonzero().split(_MANY):
            which, point = index.unbind(1)
            depth[which, point] = self.depth(shape[which], place[which, point])[:, 0]
        coarse = (depth[..., None] * radius).view(-1, 1, len(line), len(line))
        fine = functional.interpolate(coarse, scale_factor=2.0, mode="bilinear")[:, 0, 2:-2, 2:-2]
        return torch.sigmoid(fine * _SHARP)

    def object_colour(self, look: Tensor, points: Tensor) -> Tensor:
        """(…, 3) of points (…, 2) of objects whose colour and texture have codes (…, 5)."""
        colour: Tensor = self.object_paint(torch.cat([look, _waves(points)], dim=-1))
        return colour

    def depth(self, shape: Tensor, place: Tensor) -> Tensor:
        """How deep (…, 1) places (…, 2) lie inside the shapes of codes (…, 5), in radii; negative outside."""
        depth: Tensor = self.silhouette(torch.cat([shape, place, _waves(place / 4)], dim=-1))
        return depth


class Ground(nn.Module):  # type: ignore[misc]  # as torch has here
    """The colours of grounds, out of a few features of each point that all grounds share."""

    def __init__(self) -> None:
        """0.8 million parameters."""
        super().__init__()
        self.embedding = nn.Parameter(torch.randn(1, _FEATURES, _FINEST, _FINEST) / _FASTER)
        self.paint = Layers(GROUND + _FEATURES, (48, 48), 3)

    def forward(self, ground: Tensor, points: Tensor) -> Tensor:
        """(…, 3) of points (…, 2) of grounds of codes (…, 5)."""
        where = points.view(1, -1, 1, 2) * 2 - 1
        known = functional.grid_sample(self.embedding, where, align_corners=False)[0, :, :, 0]
        features = _FASTER * known.T.view(*points.shape[:-1], -1)
        colour: Tensor = self.paint(torch.cat([ground, features], dim=-1))
        return colour


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
