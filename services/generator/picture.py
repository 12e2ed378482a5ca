"""One picture in the making: where it stands, and how one step changes it. It shares nothing with any other.

Edits replace the known pixels at every step (RePaint, Lugmayr et al., 2022, without resampling); variations start from
a partly noised upload (SDEdit, Meng et al., 2021).
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from services.generator.family import Condition, Conditions


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a forward pass: latents (1, C, H, W) as the scheduler scales them, a timestep, what steers it."""

    latents: Tensor
    time: Tensor
    condition: Conditions
    extra: Tensor | None


@dataclass(frozen=True, slots=True)
class Canvas:
    """What a picture starts from and must keep: clean latents and where they may change (1 there, else 0).

    Both are None for a new picture, `free` for a variation. `extra` are an inpainting model's further channels.
    """

    known: Tensor | None = None
    free: Tensor | None = None
    extra: Tensor | None = None


@dataclass(eq=False, slots=True)
class Picture:
    """`scheduler` and `chance` are this picture's own; `times` are its timesteps, of which `done` are behind it."""

    scheduler: Any
    times: Tensor
    noise: Tensor
    latents: Tensor
    condition: Condition
    guidance: float
    canvas: Canvas
    chance: torch.Generator
    done: int = 0
    _options: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        takes = inspect.signature(self.scheduler.step).parameters
        self._options = {"generator": self.chance} if "generator" in takes else {}

    @property
    def finished(self) -> bool:
        """Whether all steps are done."""
        return self.done == len(self.times)

    @property
    def guided(self) -> bool:
        """Whether its guidance changes anything: by a second row, or told to the model as a number."""
        return self.condition.unwanted is not None or "guidance" in self.condition.wanted

    @property
    def width(self) -> int:
        """Rows that it needs in a forward pass: two where it is guided."""
        return 1 if self.condition.unwanted is None else 2

    def rows(self) -> Iterator[Row]:
        """What its next step needs the model to look at: with its words, then without."""
        time = self.times[self.done]
        scaled = self.scheduler.scale_model_input(self.latents, time)
        for condition in (self.condition.wanted, self.condition.unwanted):
            if condition is not None:
                yield Row(scaled, time, condition, self.canvas.extra)

    def take(self, guesses: Tensor) -> None:
        """One step: (width, C, H, W) as the model answered its rows.

        Guidance without a classifier (Ho and Salimans, 2022), away from what is unwanted.
        """
        guess = guesses if len(guesses) == 1 else torch.lerp(guesses[1:], guesses[:1], self.guidance)
        time = self.times[self.done]
        self.latents = self.scheduler.step(guess, time, self.latents, **self._options).prev_sample
        self.done += 1
        canvas = self.canvas
        if canvas.known is not None and canvas.free is not None:
            self.latents = torch.where(canvas.free > 0, self.latents, self._as_noisy(canvas.known))

    def _as_noisy(self, known: Tensor) -> Tensor:
        """What is known, with as much noise as there is left."""
        if self.finished:
            return known
        noisy: Tensor = self.scheduler.add_noise(known, self.noise, self.times[self.done : self.done + 1])
        return noisy
