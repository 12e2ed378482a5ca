"""Latent diffusion that reads words and a picture's CLIP embedding, by the UNet of Kandinsky 2.1 (`text_image_proj`).

A variation is made from the embedding alone, as unCLIP does (Ramesh et al., 2022): the same things, somewhere else.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from services.core.errors import ConfigurationError
from services.generator.checkpoint import Checkpoint
from services.generator.family import Condition, Conditions
from services.generator.job import Job, Rgb
from services.generator.pixels import to_unit
from services.generator.region import centre_square
from services.generator.stable_diffusion import StableDiffusion


class Kandinsky(StableDiffusion):
    """The model of this house; `image_encoder` is an open_clip network."""

    def __init__(self, checkpoint: Checkpoint, *, compiled: bool = False) -> None:
        """The embedding's width is that of the UNet's cross-attention. Raises ConfigurationError without an encoder."""
        if "image_encoder" not in checkpoint.parts:
            raise ConfigurationError("model: its unet reads a picture's embedding, but its card names no image_encoder")
        super().__init__(checkpoint, compiled=compiled)
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
        """(1, width), of unit variance, of the picture's middle square."""
        return embed(
            self._parts["image_encoder"], to_unit(torch.from_numpy(centre_square(*image.shape[:2]).cut(image)))
        )


def embed(encoder: Any, pictures: Tensor) -> Tensor:
    """Embeddings of unit variance, (N, D), of pictures (N, 3, S, S) in −1 … 1, brought to the encoder's own size."""
    size = encoder.visual.image_size
    small = functional.interpolate(pictures, size=size, mode="bicubic", antialias=True).clamp(-1, 1)
    embeddings = functional.normalize(encoder.encode_image(small), dim=1)
    return embeddings * embeddings.shape[1] ** 0.5
