"""The text finder's network: fully convolutional, one cell of its map for 16 × 16 pixels."""

from __future__ import annotations

from torch import Tensor, nn

STRIDE = 16
# Cells are told letters of this height in pixels as 0; +1 is twice as high.
UNIT_HEIGHT = 16.0
SCALE = 4.0  # pixels come in from -SCALE / 2 to SCALE / 2


class Finder(nn.Module):
    """(n, 3, h, w) RGB in 0…1, sides multiples of 16 → (n, 2, h / 16, w / 16): logit of text, log2 of letter height."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            _layer(3, 24, 4, stride=4, padding=0),
            _layer(24, 48, 3, stride=2, groups=3),
            _layer(48, 48, 1, padding=0),
            _layer(48, 48, 3, groups=48),
            _layer(48, 64, 2, stride=2, padding=0),
            *(step for dilation in (1, 2, 4, 1) for step in _separable(64, dilation)),
            nn.Conv2d(64, 2, 1),
        )

    def forward(self, pictures: Tensor) -> Tensor:
        """The map of each picture."""
        maps: Tensor = self.layers((pictures - 0.5) * SCALE)
        return maps


def _layer(inside: int, out: int, side: int, stride: int = 1, padding: int = 1, groups: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(inside, out, side, stride, padding, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(out), nn.ReLU())


def _separable(width: int, dilation: int) -> list[nn.Module]:
    depthwise = nn.Conv2d(width, width, 3, 1, dilation, dilation=dilation, groups=width, bias=False)
    return [depthwise, nn.BatchNorm2d(width), nn.ReLU(), _layer(width, width, 1, padding=0)]
