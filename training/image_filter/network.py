"""The photo model: the lower two thirds of a MobileNetV2 on one grey channel, with two answers.

Sandler et al., "MobileNetV2: inverted residuals and linear bottlenecks", 2018. It starts from the weights that nsfwjs
carries (MIT; `backbone.mjs`), which have seen photographs and drawings of many kinds: from nothing, too little is here
to learn what a photograph is.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

from training.image_filter.weights import Weights, unpack

# expansion, channels, repetitions, first stride of each group of blocks; the last two groups are left out
_GROUPS = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1))


class _Convolution(nn.Module):
    """Convolution, normalisation and, unless `linear`, ReLU6; padded as Keras does."""

    def __init__(self, inside: int, outside: int, kernel: int, stride: int = 1, groups: int = 1, linear: bool = False):
        super().__init__()
        self.halves, self.linear = stride == 2, linear
        padding = 0 if self.halves else kernel // 2
        self.conv = nn.Conv2d(inside, outside, kernel, stride, padding, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(outside, eps=1e-3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm(self.conv(functional.pad(x, (0, 1, 0, 1)) if self.halves else x))
        return x if self.linear else functional.relu6(x)

    def start(self, weights: Weights, kernel: str, norm: str) -> None:
        values = weights[kernel]
        self.conv.weight.data.copy_(values.permute(2, 3, 0, 1) if "depthwise" in kernel else values.permute(3, 2, 0, 1))
        for own, name in (("weight", "gamma"), ("bias", "beta"), ("running_mean", "moving_mean")):
            getattr(self.norm, own).data.copy_(weights[f"{norm}/{name}"])
        self.norm.running_var.data.copy_(weights[f"{norm}/moving_variance"])


class _Block(nn.Module):
    """Expand, filter each channel, project; added to its input where the shapes agree."""

    def __init__(self, inside: int, outside: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = inside * expansion
        self.expand = _Convolution(inside, hidden, 1) if expansion > 1 else None
        self.depthwise = _Convolution(hidden, hidden, 3, stride, hidden)
        self.project = _Convolution(hidden, outside, 1, linear=True)
        self.adds = stride == 1 and inside == outside

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.project(self.depthwise(self.expand(x) if self.expand else x))
        return x + y if self.adds else y

    def start(self, weights: Weights, prefix: str) -> None:
        if self.expand:
            self.expand.start(weights, f"{prefix}_expand/kernel", f"{prefix}_expand_BN")
        self.depthwise.start(weights, f"{prefix}_depthwise/depthwise_kernel", f"{prefix}_depthwise_BN")
        self.project.start(weights, f"{prefix}_project/kernel", f"{prefix}_project_BN")


class PhotoNet(nn.Module):
    """(n, 1, 112, 112) grey in 0…1 → (n, 2) logits: is it a photograph, is it a face.

    Mean and maximum of each feature are pooled: drawings betray themselves by their flattest and sharpest spots.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = _Convolution(3, 32, 3, 2)
        blocks: list[_Block] = []
        width = 32
        for expansion, channels, count, stride in _GROUPS:
            for index in range(count):
                blocks.append(_Block(width, channels, stride if index == 0 else 1, expansion))
                width = channels
        self.blocks = nn.ModuleList(blocks)
        self.answer = nn.Sequential(nn.Dropout(0.3), nn.Linear(2 * width, 2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (n, 2)."""
        x = self.stem(x.expand(-1, 3, -1, -1))
        for block in self.blocks:
            x = block(x)
        return self.answer(torch.cat([x.mean((2, 3)), x.amax((2, 3))], dim=1))

    @classmethod
    def start(cls, folder: Path) -> PhotoNet:
        """A network with the features that `backbone.mjs` wrote to `folder`, and answers to be learnt."""
        weights = unpack(json.loads((folder / "weights.json").read_text(encoding="utf-8")), folder / "weights.bin")
        network = cls()
        network.stem.start(weights, "Conv1/kernel", "bn_Conv1")
        for index, block in enumerate(network.blocks):
            block.start(weights, f"block_{index}" if index else "expanded_conv")
        return network
