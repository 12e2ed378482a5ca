"""What the engine asks of a model, whatever its kind: one forward pass, its conditions, its way to and from pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from services.generator.checkpoint import Card
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

    def guided(self, job: Job, /) -> bool:
        """Whether the job's pictures are guided, and so take two rows of a forward pass each."""

    def check(self, job: Job, /) -> None:
        """Raises InvalidInput for a negative prompt that nothing would come of; cheap, before anything is queued."""

    def condition(self, job: Job, /) -> Condition:
        """The job's conditions, encoded alone, so that they are the same whatever else is rendered."""

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
