"""Reads which shape is where from the UNet's last features, while it trains: words find their shapes much sooner."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.scenes.render import SIDE, coverage, painted
from training.scenes.scenes import Item, Scene
from training.scenes.shapes import SHAPES

_NOWHERE = Item("black", "circle", 9.0, 9.0, 0.2)


class ShapeReader(nn.Module):
    """A linear layer over the features that `unet`'s last layer draws from (after Yu et al., "REPA", 2024).

    Thrown away after training.
    """

    def __init__(self, unet: Any) -> None:
        """Listens to the input of the last convolution."""
        super().__init__()
        self.read = nn.Conv2d(unet.config.block_out_channels[0], len(SHAPES) + 1, 1)
        self._features: list[Tensor] = []
        unet.conv_out.register_forward_pre_hook(self._listen)

    def loss(self, shapes: Tensor) -> Tensor:
        """Cross-entropy of what the last forward pass knew of `shapes` (N, 8, 8), objects and ground counting alike."""
        told = functional.cross_entropy(self.read(self._features.pop().float()), shapes, reduction="none")
        there = shapes > 0
        return (told[there].mean() + told[~there].mean()) / 2

    def _listen(self, _module: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        self._features = [arguments[0]]


def shape_maps(scenes: Sequence[Scene], side: int) -> Tensor:
    """Which shape is to be seen at each of side × side positions: 1 …, or 0 for none; (N, side, side)."""
    maps = torch.zeros(len(scenes), side, side, dtype=torch.long)
    layers = [painted(scene) for scene in scenes]
    for index in range(max(len(layer) for layer in layers)):
        items = [layer[index] if index < len(layer) else _NOWHERE for layer in layers]
        covered = functional.adaptive_avg_pool2d(coverage(items, SIDE), side)[:, 0] > 0.3
        names = torch.tensor([SHAPES.index(item.shape) + 1 for item in items])[:, None, None].expand_as(maps)
        maps = torch.where(covered, names, maps)
    return maps
