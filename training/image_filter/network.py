"""The photo model: a small convolutional network on one grey channel, with two answers."""

from __future__ import annotations

import itertools

import torch
from torch import nn

_WIDTHS = (1, 16, 32, 64, 96, 128)


def _layer(inside: int, outside: int, stride: int) -> list[nn.Module]:
    return [
        nn.Conv2d(inside, outside, 3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(outside),
        nn.ReLU(),
    ]


class PhotoNet(nn.Module):
    """(n, 1, 96, 96) grey in 0…1 → (n, 2) logits: is it a photograph, is it a face.

    Mean and maximum of each feature are pooled: drawings betray themselves by their flattest and sharpest spots.
    """

    def __init__(self) -> None:
        super().__init__()
        layers = [_layer(inside, outside, 2) for inside, outside in itertools.pairwise(_WIDTHS)]
        layers.append(_layer(_WIDTHS[-1], _WIDTHS[-1], 1))
        self.features = nn.Sequential(*itertools.chain.from_iterable(layers))
        self.answer = nn.Sequential(nn.Dropout(0.3), nn.Linear(2 * _WIDTHS[-1], 2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (n, 2)."""
        maps = self.features(x.contiguous(memory_format=torch.channels_last))
        return self.answer(torch.cat([maps.mean((2, 3)), maps.amax((2, 3))], dim=1))
