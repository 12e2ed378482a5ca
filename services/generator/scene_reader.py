"""From pictures of simple scenes to latents: what is where, as far as it can be seen."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn import functional

SEEN = 64  # pixels of a side that are looked at
_TRUNK, _WIDTH, _BLOCKS = 20, 192, 4


class Reader(nn.Module):  # type: ignore[misc]  # as torch has here
    """Pictures (N, 3, 64, 64), −1 … 1 → latents (N, 31, 8, 8): CLIP's ResNet, its levels brought together.

    After Lin et al., "Feature Pyramid Networks for Object Detection", 2017.
    """

    def __init__(self, channels: int) -> None:
        """3.7 million parameters; so many channels of latents."""
        super().__init__()
        self.trunk = Trunk(_TRUNK)
        self.conv_in = nn.Conv2d(_TRUNK * (16 + 8 + 16 + 32), _WIDTH, 1)
        self.blocks = nn.ModuleList(_Block(_WIDTH) for _ in range(_BLOCKS))
        self.conv_out = nn.Conv2d(_WIDTH, channels, 1)

    def forward(self, pictures: Tensor) -> Tensor:
        """What is where."""
        first, second, *deeper = self.trunk(pictures)
        larger = [functional.interpolate(level, size=second.shape[2:]) for level in deeper]
        states = self.conv_in(torch.cat([functional.pixel_unshuffle(first, 2), second, *larger], dim=1))
        for block in self.blocks:
            states = block(states)
        latents: Tensor = self.conv_out(functional.silu(states))
        return latents.float()


class Trunk(nn.Module):  # type: ignore[misc]  # as torch has here
    """The ResNet of CLIP (Radford et al., 2021) with a block a level, named as open_clip's, without its pooling."""

    def __init__(self, width: int) -> None:
        """(N, 3, S, S) → 4, 8, 16 and 32 times `width` channels at an eighth … of the side."""
        super().__init__()
        half = width // 2
        self.conv1, self.bn1 = nn.Conv2d(3, half, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(half)
        self.conv2, self.bn2 = nn.Conv2d(half, half, 3, padding=1, bias=False), nn.BatchNorm2d(half)
        self.conv3, self.bn3 = nn.Conv2d(half, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)
        self.layer1 = nn.Sequential(_Bottleneck(width, width, 1))
        self.layer2 = nn.Sequential(_Bottleneck(4 * width, 2 * width, 2))
        self.layer3 = nn.Sequential(_Bottleneck(8 * width, 4 * width, 2))
        self.layer4 = nn.Sequential(_Bottleneck(16 * width, 8 * width, 2))

    def forward(self, pictures: Tensor) -> list[Tensor]:
        """All four levels."""
        states = functional.relu(self.bn1(self.conv1(pictures)))
        states = functional.relu(self.bn2(self.conv2(states)))
        states = functional.avg_pool2d(functional.relu(self.bn3(self.conv3(states))), 2)
        levels = []
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            states = layer(states)
            levels.append(states)
        return levels


class _Bottleneck(nn.Module):  # type: ignore[misc]  # as torch has here
    def __init__(self, known: int, width: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.conv1, self.bn1 = nn.Conv2d(known, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)
        self.conv3, self.bn3 = nn.Conv2d(width, 4 * width, 1, bias=False), nn.BatchNorm2d(4 * width)
        straight = {"0": nn.Conv2d(known, 4 * width, 1, bias=False), "1": nn.BatchNorm2d(4 * width)}
        self.downsample = nn.Sequential(OrderedDict(straight))

    def forward(self, states: Tensor) -> Tensor:
        inner = functional.relu(self.bn1(self.conv1(states)))
        inner = functional.avg_pool2d(functional.relu(self.bn2(self.conv2(inner))), self.stride)
        straight = self.downsample(functional.avg_pool2d(states, self.stride))
        return functional.relu(self.bn3(self.conv3(inner)) + straight)


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
