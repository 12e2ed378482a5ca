"""The photo model: a small residual network on one grey channel, with two answers."""

from __future__ import annotations

import torch
from torch import nn


class _Block(nn.Module):
    """Depthwise and pointwise convolutions with a short cut (MobileNetV2's idea, without its expansion)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False),
            nn.BatchNorm2d(width),
            nn.Conv2d(width, width, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Same shape in and out."""
        return x + self.body(x)


def _down(inside: int, outside: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inside, outside, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(outside), nn.ReLU()
    )


class PhotoNet(nn.Module):
    """(n, 1, 96, 96) grey in 0…1 → (n, 2) logits: is it a photograph, is it a face.

    Mean and maximum of each feature are pooled: drawings betray themselves by their flattest and sharpest spots.
    """

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            _down(1, 24), _Block(24), _down(24, 48), _Block(48), _Block(48), _down(48, 96), _Block(96), _Block(96),
            _down(96, 160), _Block(160),
        )  # fmt: skip
        self.answer = nn.Sequential(nn.Dropout(0.3), nn.Linear(320, 2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (n, 2)."""
        maps = self.features(x)
        return self.answer(torch.cat([maps.mean((2, 3)), maps.amax((2, 3))], dim=1))
