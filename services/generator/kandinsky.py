"""Latent diffusion that reads words and what a picture shows, by the UNet of Kandinsky 2.1 (`text_image_proj`).

A variation is made from such an embedding alone, as unCLIP does (Ramesh et al., 2022): the same things, somewhere else.
The embedding is not CLIP's but the autoencoder's own, whose reader tells two or three objects apart far better.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from services.core.errors import ConfigurationError
from services.generator.checkpoint import Checkpoint
from services.generator.family import Condition, Conditions
from services.generator.job import Job, Rgb
from services.generator.pixels import to_unit
from services.generator.region import centre_square
from services.generator.stable_diffusion import StableDiffusion


class Kandinsky(StableDiffusion):
    """The model of this house."""

    def __init__(self, checkpoint: Checkpoint, *, compiled: bool = False) -> None:
        """The embedding's width is that of the UNet's cross-attention. Raises ConfigurationError for another vae."""
        vae: Any = checkpoint.parts.get("vae")
        if type(vae).__name__ != "SceneAutoencoder":
            raise ConfigurationError("model: its unet reads what a picture shows, but its vae is no SceneAutoencoder")
        super().__init__(checkpoint, compiled=compiled)
        self._vae = vae
        self._width = int(checkpoint.parts["unet"].config.cross_attention_dim)

    def guided(self, job: Job, /) -> bool:
        """A variation too, towards its picture."""
        return (bool(job.words) or job.operation == "variation") and (job.guidance or self.card.guidance) != 1

    def condition(self, job: Job, /) -> Condition:
        """The words, or for a variation the picture's embedding."""
        if job.operation != "variation" or job.image is None:
            return super().condition(job)
        nothing, _cut = self.read("", job.size)
        shown = {**nothing, "image_embeds": self._embed(job.image)}
        return Condition(shown, nothing if self.guided(job) else None)

    def read(self, text: str, size: int, /) -> tuple[Conditions, tuple[str, ...]]:
        """The text encoder's states, and no picture."""
        conditions, cut = super().read(text, size)
        return {**conditions, "image_embeds": torch.zeros(1, self._width, device=self.device)}, cut

    def forward(self, inputs: Tensor, times: Tensor, condition: Conditions) -> Tensor:
        """One pass through the UNet."""
        added = {"image_embeds": condition["image_embeds"].to(inputs.dtype)}
        guess: Tensor = self._net(inputs, times, condition["encoder_hidden_states"], added_cond_kwargs=added).sample
        return guess

    def _embed(self, image: Rgb) -> Tensor:
        """(1, width), of the picture's middle square."""
        square = centre_square(*image.shape[:2]).cut(image)
        embedding: Tensor = self._vae.embed(to_unit(torch.from_numpy(square).to(self.device)), self._width)
        return embedding
