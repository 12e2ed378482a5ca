"""Enlarges a small model's pictures four times over, by what it learned of edges and corners.

A sub-pixel convolutional network on top of bicubic enlargement (Shi et al., "Real-Time Single Image and Video
Super-Resolution Using an Efficient Sub-Pixel Convolutional Neural Network", 2016), with residual blocks.
"""

from __future__ import annotations

from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn
from torch.nn import functional


class Upsampler(ModelMixin, ConfigMixin):  # type: ignore[misc]  # diffusers has no types
    """(N, 3, S, S), about −1 … 1 → (N, 3, S·factor, S·factor)."""

    @register_to_config  # type: ignore[untyped-decorator]  # diffusers has no types
    def __init__(self, width: int = 32, depth: int = 4, factor: int = 4) -> None:
        """`width` channels in `depth` residual blocks, all at the small size."""
        super().__init__()
        self.first = nn.Conv2d(3, width, 3, padding=1)
        self.blocks = nn.ModuleList(_Block(width) for _ in range(depth))
        self.last = nn.Conv2d(width, 3 * factor**2, 3, padding=1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, pictures: Tensor) -> Tensor:
        """The enlarged pictures."""
        states = self.first(pictures)
        for block in self.blocks:
            states = block(states)
        smooth = functional.interpolate(pictures, scale_factor=self.config.factor, mode="bicubic")
        return smooth + functional.pixel_shuffle(self.last(functional.silu(states)), self.config.factor)


class _Block(nn.Module):  # type: ignore[misc]  # as torch has here
    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = nn.Conv2d(width, width, 3, padding=1)
        self.outer = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, states: Tensor) -> Tensor:
        inner: Tensor = self.inner(functional.silu(states))
        outer: Tensor = self.outer(functional.silu(inner))
        return states + outer
