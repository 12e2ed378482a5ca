"""From latents to pixels at any size: each point is coloured by what its position shows and where in that it lies.

Chen, Liu, Wang, "Learning Continuous Image Representation with Local Implicit Image Function" (LIIF), 2021; here a
point also knows its place within the object (in radii from its middle, by the codes), so that a silhouette is a
function of two numbers and a shape, wherever and however large the object stands. Not yet part of a shipped model.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.scenes.codes import MIDDLING, OFFSET, RADIUS, SHAPE
from training.scenes.components import LATENTS, PIXELS

_WIDTH, _BLOCKS, _LAYER = 128, 4, 96
_FEATURES = 40
_SLOTS = 2  # objects that a position may know of
_OCTAVES = (1, 2, 4)
_LEAST, _MOST = 0.08, 0.6  # radii


class Painter(nn.Module):  # type: ignore[misc]  # as torch has here
    """1.3 million parameters; latents (N, 32, S, S) and points (N, P, 2) in 0 … 1 → colours (N, P, 3), about −1 … 1."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(LATENTS, _WIDTH, 3, padding=1)
        self.blocks = nn.ModuleList(_Block(_WIDTH) for _ in range(_BLOCKS))
        self.smooth = nn.Conv2d(_WIDTH, _FEATURES, 1)
        self.own = nn.Conv2d(_WIDTH, _FEATURES, 1)
        self.geometry = nn.Conv2d(_WIDTH, 3 * _SLOTS, 1)
        nn.init.zeros_(self.geometry.weight)
        nn.init.zeros_(self.geometry.bias)
        known = 2 * _FEATURES + _SLOTS * (3 + 4 * len(_OCTAVES)) + 2 + 4
        self.mlp = nn.ModuleList(nn.Linear(width, _LAYER) for width in (known, _LAYER, _LAYER))
        self.out = nn.Linear(_LAYER, 3)

    def forward(self, latents: Tensor, points: Tensor) -> Tensor:
        """Colours of the points."""
        states = self.conv_in(latents)
        for block in self.blocks:
            states = block(states)
        states = functional.silu(states)
        side = latents.shape[-1]
        table = torch.cat([self.own(states).float(), *self._geometry(latents, states)], dim=1)
        near = _sampled(table, points, "nearest")
        own, x, y, radius = near.split((_FEATURES, _SLOTS, _SLOTS, _SLOTS), dim=-1)
        across = ((points[..., :1] - x) / radius).clamp(-2, 2)
        down = ((points[..., 1:] - y) / radius).clamp(-2, 2)
        turns = [math.pi * octave * way for way in (across, down) for octave in _OCTAVES]
        waves = [wave(turn) for turn in turns for wave in (torch.sin, torch.cos)]
        cell = (points * side) % 1 - 0.5
        phase = [wave(2 * math.pi * cell) for wave in (torch.sin, torch.cos)]
        smooth = _sampled(self.smooth(states).float(), points, "bilinear")
        known = torch.cat([smooth, own, across, down, radius * 4 - 1, *waves, cell, *phase], dim=-1)
        for layer in self.mlp:
            known = functional.silu(layer(known))
        colours: Tensor = self.out(known)
        return colours

    def picture(self, latents: Tensor, side: int) -> Tensor:
        """(N, 3, side, side)."""
        line = (torch.arange(side) + 0.5) / side
        points = torch.stack(torch.meshgrid(line, line, indexing="xy"), dim=-1).view(1, -1, 2)
        colours = self(latents, points.expand(len(latents), -1, -1))
        return colours.transpose(1, 2).reshape(len(latents), 3, side, side)

    def _geometry(self, latents: Tensor, states: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Middles and radii (N, 2, S, S) of the objects that each position knows of: as its codes say, corrected."""
        side = latents.shape[-1]
        given = latents[:, PIXELS + SHAPE :].float().repeat(1, _SLOTS, 1, 1)
        across, down, radius = (given + 2 * self.geometry(states).float()).unflatten(1, (_SLOTS, 3)).unbind(2)
        line = (torch.arange(side) + 0.5) / side
        size = (radius / RADIUS + MIDDLING).clamp(_LEAST, _MOST)
        return line + across / OFFSET, line[:, None] + down / OFFSET, size


class _Block(nn.Module):  # type: ignore[misc]  # as torch has here
    def __init__(self, width: int) -> None:
        super().__init__()
        self.n1, self.n2 = nn.GroupNorm(8, width), nn.GroupNorm(8, width)
        self.c1, self.c2 = (nn.Conv2d(width, width, 3, padding=1) for _ in range(2))
        nn.init.zeros_(self.c2.weight)
        nn.init.zeros_(self.c2.bias)

    def forward(self, states: Tensor) -> Tensor:
        inner = self.c1(functional.silu(self.n1(states)))
        outer: Tensor = self.c2(functional.silu(self.n2(inner)))
        return states + outer


def _sampled(table: Tensor, points: Tensor, mode: str) -> Tensor:
    """(N, P, C) of a table (N, C, S, S) at the points."""
    grid = (points * 2 - 1)[:, :, None]
    found = functional.grid_sample(table, grid, mode=mode, align_corners=False, padding_mode="border")
    return found[..., 0].transpose(1, 2)
