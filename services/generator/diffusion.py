"""What diffusion models have in common: latents of a VAE or packed pixels, schedulers, one padded forward pass."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from services.core.errors import ConfigurationError, InvalidInput
from services.generator.checkpoint import Checkpoint
from services.generator.family import Condition, Conditions
from services.generator.job import Job
from services.generator.pixels import PackedPixels, VaeLatents

# The blocks that networks repeat and spend most of their time in.
_REPEATED = {"BasicTransformerBlock", "FluxSingleTransformerBlock", "FluxTransformerBlock"}
# Shapes of a block: its places in the network, times batch buckets, times sizes of pictures; torch gives up after 8.
_MOST_SHAPES = 256


class Diffusion(ABC):
    """A `Family`; its kinds say how words are read and how their network is called."""

    def __init__(self, checkpoint: Checkpoint, net: Any, *, patch: int = 1, compiled: bool = False) -> None:
        """`patch` latents of a side are one to `net`. Raises ConfigurationError for sizes that do not fit.

        With `compiled` the repeated blocks of `net` are compiled, anew for each batch of 1, 2, 4, 8 … pictures.
        """
        self.card = checkpoint.card
        self._parts = checkpoint.parts
        self.device = checkpoint.device
        self._net = net
        self._compiled = compiled
        vae = checkpoint.parts.get("vae")
        self._pixels = VaeLatents(vae) if vae is not None else PackedPixels(int(net.config.in_channels))
        unit = patch * self._pixels.factor
        if odd := [size for size in self.card.all_sizes if self.side(size) % unit]:
            raise ConfigurationError(f"model: its size {odd[0]} is no multiple of {unit} pixels")
        if compiled:
            _compile_blocks(net)

    @abstractmethod
    def read(self, text: str, size: int, /) -> tuple[Conditions, tuple[str, ...]]:
        """The condition that `text` is for a picture of `size`, and the words that were cut."""

    @abstractmethod
    def forward(self, inputs: Tensor, times: Tensor, condition: Conditions) -> Tensor:
        """One pass through the network, in its own type."""

    def guided(self, job: Job, /) -> bool:
        """What is made of words, at any scale but 1."""
        return bool(job.words) and (job.guidance or self.card.guidance) != 1

    def check(self, job: Job, /) -> None:
        """Raises InvalidInput for a negative prompt, of which nothing comes without guidance."""
        if job.unwanted and not self.guided(job):
            raise InvalidInput(
                "negative_prompt",
                "has no effect on this model without guidance; ask for a guidance above 1, or leave it empty",
            )

    def condition(self, job: Job, /) -> Condition:
        """Encodes prompt and negative prompt."""
        wanted, cut = self.read(job.words, job.size)
        if not self.guided(job):
            return Condition(wanted, None, cut)
        unwanted, cut_too = self.read(job.unwanted, job.size)
        return Condition(wanted, unwanted, cut + cut_too)

    def scheduler(self, steps: int, _size: int, /) -> Any:
        """A fresh one of the checkpoint's own kind."""
        recipe = self._parts["scheduler"]
        scheduler = type(recipe).from_config(recipe.config)
        scheduler.set_timesteps(steps)
        return scheduler

    def side(self, size: int, /) -> int:
        """`size`, but never more than what the network was trained to draw."""
        return min(size, int(self._net.config.sample_size) * self._pixels.factor)

    def latent_shape(self, size: int, /) -> tuple[int, int, int]:
        """(C, H, W) of the latents of one picture."""
        side = self.side(size) // self._pixels.factor
        return self._channels(), side, side

    def surroundings(self, _picture: Tensor | None, _mask: Tensor | None, _size: int, /) -> Tensor | None:
        """None: it edits by keeping what is known."""
        return None

    def predict(
        self, latents: Tensor, times: Tensor, conditions: Sequence[Conditions], extra: Tensor | None, /
    ) -> Tensor:
        """One forward pass at mixed times; a compiled network gets its last row again until a bucket is full."""
        inputs = latents if extra is None else torch.cat([latents, extra], dim=1)
        condition = {name: torch.cat([one[name] for one in conditions]) for name in conditions[0]}
        rows = len(conditions)
        if self._compiled:
            spread = torch.arange(1 << (rows - 1).bit_length(), device=inputs.device).clamp(max=rows - 1)
            inputs, times = inputs[spread], times[spread]
            condition = {name: value[spread] for name, value in condition.items()}
        return self.forward(inputs.to(self._net.dtype), times.to(inputs.device), condition)[:rows].float()

    def encode(self, pictures: Tensor, /) -> Tensor:
        """(N, 3, side, side) in −1 … 1 → latents."""
        return self._pixels.encode(pictures)

    def encode_mask(self, masks: Tensor, /) -> Tensor:
        """(N, 1, side, side) of 0 and 1 → 1 where a latent may change."""
        return self._pixels.encode_mask(masks)

    def decode(self, latents: Tensor, /) -> Tensor:
        """Latents → pictures (N, 3, side, side), about −1 … 1."""
        return self._pixels.decode(latents)

    def _channels(self) -> int:
        """Channels of the latents."""
        vae = self._parts.get("vae")
        return int(self._net.config.in_channels if vae is None else vae.config.latent_channels)


def _compile_blocks(net: Any) -> None:
    """Regional compilation: far quicker than compiling the whole network, and nearly as fast afterwards."""
    torch.compiler.config.recompile_limit = _MOST_SHAPES
    for block in net.modules():
        if type(block).__name__ in _REPEATED:
            block.compile(dynamic=False)
