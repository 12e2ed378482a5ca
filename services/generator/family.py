"""What the engine needs of a model, whatever its text encoders, its network and its latents are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from services.generator.checkpoint import Card
from services.generator.job import Job


@dataclass(frozen=True, slots=True)
class Condition:
    """What one request asks for, as the network reads it: named tensors with a batch dimension of 1."""

    wanted: dict[str, Tensor]
    unwanted: dict[str, Tensor] | None
    """The other end of guidance, with the same names and shapes; None where nothing is guided."""
    cut: tuple[str, ...]
    """Words beyond the model's token limit, which it does not see."""


class Family(Protocol):
    """Models of one kind: prompts to conditions, pictures to latents, one denoising step at any mix of times.

    Latents are float32 (B, C, H, W) on the model's device; the family casts to the weights' own type and back.
    """

    card: Card

    def condition(self, job: Job) -> Condition:
        """Encodes the words of `job`."""
        ...

    def scheduler(self, steps: int, size: int) -> Any:
        """A diffusers scheduler for one request alone, its timesteps set, on the CPU; drive it through `schedulers`."""
        ...

    def side(self, size: int) -> int:
        """Side in pixels that the model itself draws for a picture of `size`; a smaller one is to be enlarged."""
        ...

    def latent_shape(self, size: int) -> tuple[int, int, int]:
        """(C, H, W) of the latents of one picture."""
        ...

    def extra_channels(self, picture: Tensor | None, mask: Tensor | None, size: int) -> Tensor | None:
        """What an inpainting network reads beside the latents, (1, 1 + C, H, W); None for any other.

        `picture` (1, 3, side, side) in −1 … 1 and `mask` (1, 1, side, side), 1 where it may change; None for a new one.
        """
        ...

    def predict(
        self, latents: Tensor, times: Tensor, conditions: list[dict[str, Tensor]], extra: Tensor | None
    ) -> Tensor:
        """One forward pass: row i of `latents`, scaled by its scheduler, at `times[i]` (B,), under `conditions[i]`."""
        ...

    def encode(self, pictures: Tensor) -> Tensor:
        """(N, 3, side, side) in −1 … 1 → latents."""
        ...

    def encode_mask(self, masks: Tensor) -> Tensor:
        """(N, 1, side, side) of 0 and 1 → 1 where a latent may change, in a shape that broadcasts over latents."""
        ...

    def decode(self, latents: Tensor) -> Tensor:
        """Latents → pictures (N, 3, side, side), about −1 … 1."""
        ...
