"""Between pictures of simple scenes and latents that say what is where: the embedded model's `vae`."""

from __future__ import annotations

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from diffusers.models.autoencoders.vae import DecoderOutput, EncoderOutput
from torch import Tensor
from torch.nn import functional

from services.generator.painter import Painter
from services.generator.scene_latents import things
from services.generator.scene_reader import SEEN, Reader


class SceneAutoencoder(ModelMixin, ConfigMixin):  # type: ignore[misc]  # diffusers has no types
    """Pictures (N, 3, S, S), about −1 … 1 ↔ latents (N, 31, S/32, S/32); `scene_latents` says what those say."""

    @register_to_config  # type: ignore[untyped-decorator]  # diffusers has no types
    def __init__(self, factor: int = 32, latent_channels: int = 31, force_upcast: bool = True) -> None:  # noqa: ARG002
        """`factor` pixels of a side to one position; loaders read `force_upcast`: half precision is too coarse here."""
        super().__init__()
        self._factor = factor
        self.reader = Reader(latent_channels)
        self.painter = Painter()

    def encode(self, pictures: Tensor) -> EncoderOutput:
        """What the pictures show, as far as it is known to the model."""
        small = functional.interpolate(pictures, size=SEEN, mode="bicubic", antialias=True).clamp(-1, 1)
        return EncoderOutput(latent=self.reader(small))

    def embed(self, pictures: Tensor, width: int) -> Tensor:
        """What pictures (N, 3, S, S) show, wherever it stands, (N, width)."""
        return things(self.encode(pictures).latent, width)

    def decode(self, latents: Tensor) -> DecoderOutput:
        """Pictures of what the latents say."""
        side = latents.shape[-1] * self._factor
        # One at a time: all their points at once would need much memory.
        return DecoderOutput(sample=torch.cat([self.painter(each, side) for each in latents.split(1)]))
