"""Enlarges a small plain picture with crisp edges; photographs never come here at a large model's own size."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

_STEEPNESS = 3.0
_REACH = 3  # source pixels around each, whose extremes bound it
_FLAT, _EDGE = 0.1, 0.3  # local contrast below which nothing is sharpened, and from which on all of it is


def enlarge(pictures: Tensor, side: int) -> Tensor:
    """(N, 3, S, S) → (N, 3, side, side): bicubic, then each value moves away from the middle of its neighbourhood.

    Contrast toggling after Kramer and Bruckner (1975), softened: instead of jumping to the nearer of the local minimum
    and maximum, a value moves there along a ramp, so that edges stay one pixel soft. A picture of that size already
    comes back as it is.
    """
    if pictures.shape[-1] == side:
        return pictures
    smooth = functional.interpolate(pictures, size=(side, side), mode="bicubic", align_corners=False)
    high = _resize(functional.max_pool2d(pictures, _REACH, stride=1, padding=_REACH // 2), side)
    low = _resize(-functional.max_pool2d(-pictures, _REACH, stride=1, padding=_REACH // 2), side)
    span = high - low
    place = (smooth - low) / span.clamp(min=1e-3)
    steep = low + ((place - 0.5) * _STEEPNESS + 0.5).clamp(0, 1) * span
    edge = ((span.amax(dim=1, keepdim=True) - _FLAT) / (_EDGE - _FLAT)).clamp(0, 1)
    return torch.lerp(smooth.maximum(low).minimum(high), steep, edge)


def _resize(pictures: Tensor, side: int) -> Tensor:
    return functional.interpolate(pictures, size=(side, side), mode="bilinear", align_corners=False)
