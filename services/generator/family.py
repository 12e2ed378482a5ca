"""What the engine asks of a model, whatever its kind: one forward pass, its conditions, its way to and from pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from services.generator.checkpoint import Card, Checkpoint
from services.generator.job import Job

Conditions = Mapping[str, Tensor]


@dataclass(frozen=True, slots=True)
class Condition:
    """What steers one request's pictures: tensors by the model's own names for them, the first dimension 1 each.

    `unwanted` is None where the pictures are not guided away from anything, and one forward pass a step is enough.
    `cut` are the words beyond what the model reads.
    """

    wanted: Conditions
    unwanted: Conditions | None
    cut: tuple[str, ...] = ()


class Family(Protocol):
    """A loaded model. Nothing of a request stays in it, so one serves any number of pictures at once.

    Latents are float32 (B, C, H, W); what the weights are, is its own affair.
    """

    @property
    def card(self) -> Card:
        """The model's name and the values that suit it."""

    @property
    def device(self) -> torch.device:
        """Where it computes."""

    def condition(self, job: Job, /) -> Condition:
        """The job's conditions, encoded alone, so that they are the same whatever else is rendered.

        Not guided where `job.guidance`, or the card's where that is 0, is 1.
        """

    def scheduler(self, steps: int, size: int, /) -> Any:
        """A fresh diffusers scheduler, its timesteps set and on the CPU: nothing waits for a GPU to read them."""

    def latent_shape(self, size: int, /) -> tuple[int, int, int]:
        """(C, H, W) of what is denoised for a picture of `size` pixels a side."""

    def side(self, size: int, /) -> int:
        """Side in pixels of what `encode` takes and `decode` gives for a picture of that size."""

    def predict(
        self, latents: Tensor, times: Tensor, conditions: Sequence[Conditions], extra: Tensor | None, /
    ) -> Tensor:
        """One forward pass: (B, C, H, W), timesteps (B,) that may all differ, B conditions → (B, C, H, W).

        `extra` (B, E, H, W) are an inpainting model's further channels.
        """

    def surroundings(self, picture: Tensor | None, mask: Tensor | None, size: int, /) -> Tensor | None:
        """An inpainting model's further channels (1, E, H, W) for a picture and a mask as `encode` and `encode_mask`
        take them, both None for a new picture; None from a model that edits by keeping what is known at each step.
        """

    def encode(self, pictures: Tensor, /) -> Tensor:
        """(N, 3, side, side) in −1 … 1 → latents (N, C, H, W)."""

    def encode_mask(self, masks: Tensor, /) -> Tensor:
        """(N, 1, side, side) of 0 and 1 → (N, 1 or C, H, W): 1 where latents may change."""

    def decode(self, latents: Tensor, /) -> Tensor:
        """Latents → pictures (N, 3, side, side), about −1 … 1."""


class UNetFamily:
    """A UNet that reads a CLIP text encoder's states."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint
        self.card = checkpoint.card
        self.device = checkpoint.device

    def condition(self, job: Job) -> Condition:
        """The hidden states of the words; nothing to be guided by where there are none."""
        guided = job.words and (job.guidance or self.card.guidance) != 1.0
        return Condition(self._text(job.words), self._text(job.unwanted) if guided else None)

    def scheduler(self, steps: int, _size: int, /) -> Any:
        """As the checkpoint's."""
        scheduler = type(self.checkpoint.scheduler).from_config(self.checkpoint.scheduler.config)
        scheduler.set_timesteps(steps)
        return scheduler

    def latent_shape(self, _size: int, /) -> tuple[int, int, int]:
        """The UNet's own size."""
        config = self.checkpoint.unet.config
        return int(config.out_channels), int(config.sample_size), int(config.sample_size)

    def side(self, _size: int, /) -> int:
        """The UNet's own size in pixels."""
        return int(self.checkpoint.unet.config.sample_size) * self.checkpoint.pixels.factor

    def predict(
        self, latents: Tensor, times: Tensor, conditions: Sequence[Conditions], _extra: Tensor | None, /
    ) -> Tensor:
        """One pass of the UNet."""
        states = torch.cat([one["encoder_hidden_states"] for one in conditions])
        guess: Tensor = self.checkpoint.unet(latents, times, states).sample
        return guess

    def surroundings(self, _picture: Tensor | None, _mask: Tensor | None, _size: int, /) -> Tensor | None:
        """None: it edits by keeping what is known."""
        return None

    def encode(self, pictures: Tensor) -> Tensor:
        """As the checkpoint's pixels say."""
        return self.checkpoint.pixels.encode(pictures)

    def encode_mask(self, masks: Tensor) -> Tensor:
        """As the checkpoint's pixels say."""
        return self.checkpoint.pixels.encode_mask(masks)

    def decode(self, latents: Tensor) -> Tensor:
        """As the checkpoint's pixels say."""
        return self.checkpoint.pixels.decode(latents)

    def _text(self, words: str) -> Conditions:
        parts = self.checkpoint
        ids = parts.tokenizer(
            [words],
            padding="max_length",
            max_length=parts.tokenizer.model_max_length,
            truncation=True,
            return_tensors="pt",
        ).input_ids
        return {"encoder_hidden_states": parts.text_encoder(ids.to(parts.device)).last_hidden_state}
