"""Between pictures and what a UNet denoises: packed pixels for small models, a VAE's latents for large ones."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


class PackedPixels:
    """Blocks of k×k pixels as one position of 3·k² channels, as FLUX packs its latents; exact and without weights."""

    def __init__(self, channels: int) -> None:
        self.factor = math.isqrt(channels // 3)

    def encode(self, pictures: Tensor) -> Tensor:
        """(N, 3, S, S) in −1 … 1 → (N, 3·k², S/k, S/k)."""
        return functional.pixel_unshuffle(pictures, self.factor)

    def encode_mask(self, masks: Tensor) -> Tensor:
        """(N, 1, S, S) of 0 and 1 → the same for every channel."""
        return self.encode(masks.expand(-1, 3, -1, -1))

    def decode(self, latents: Tensor) -> Tensor:
        """The inverse of `encode`."""
        return functional.pixel_shuffle(latents, self.factor)


class VaeLatents:
    """Latents of an AutoencoderKL (Rombach et al., 2022) or of this house's `SceneAutoencoder`.

    float32 outside, in the autoencoder's own type inside.
    """

    def __init__(self, vae: Any) -> None:
        self._vae = vae.to(memory_format=torch.channels_last)
        self._scale = float(vae.config.get("scaling_factor") or 1.0)
        self._shift = float(vae.config.get("shift_factor") or 0.0)
        self.factor = int(vae.config.get("factor") or 2 ** (len(vae.config.block_out_channels) - 1))

    def encode(self, pictures: Tensor) -> Tensor:
        """(N, 3, S, S) in −1 … 1 → scaled latent means (N, C, S/k, S/k); the mean, so that it is the same each time."""
        encoded = self._vae.encode(pictures.to(self._vae.dtype))
        means: Tensor = (encoded.latent if "latent" in encoded else encoded.latent_dist.mean).float()
        return (means - self._shift) * self._scale

    def encode_mask(self, masks: Tensor) -> Tensor:
        """(N, 1, S, S) of 0 and 1 → (N, 1, S/k, S/k): a position may change where any of its pixels may."""
        return functional.max_pool2d(masks, self.factor)

    def decode(self, latents: Tensor) -> Tensor:
        """Latents → pictures (N, 3, S, S), about −1 … 1."""
        pictures: Tensor = self._vae.decode((latents / self._scale + self._shift).to(self._vae.dtype)).sample
        return pictures.float()


def to_unit(rgb: torch.Tensor) -> Tensor:
    """(H, W, 3) uint8 → (1, 3, H, W) in −1 … 1."""
    return rgb.permute(2, 0, 1)[None].float() / 127.5 - 1


def to_bytes(pictures: Tensor) -> Tensor:
    """(N, 3, H, W), about −1 … 1 → (N, H, W, 3) uint8."""
    return ((pictures.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous()
