"""Renders: owns the denoise loop, so that every step can be counted, cancelled and steered.

Guidance without a classifier (Ho and Salimans, 2022), away from the negative prompt · edits by replacing the known
pixels at every step (RePaint, Lugmayr et al., 2022, without resampling) · variations from a partly noised upload
(SDEdit, Meng et al., 2021).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from services.core.errors import PortcullisError
from services.generator.checkpoint import Checkpoint
from services.generator.enlarge import enlarge
from services.generator.families import build_family
from services.generator.family import Condition
from services.generator.job import Job, Rgb
from services.generator.pixels import to_bytes, to_unit
from services.generator.region import centre_square, put_back, square_around

_GIVEN_UP = "the rendering was given up"


class Cancelled(PortcullisError):
    """The request was given up; whatever was half-made is gone."""

    code = "CANCELLED"


@dataclass(frozen=True, slots=True)
class Watch:
    """How the outside follows a rendering: `step` is told (done, in all) after each step, `cancelled` asked before."""

    step: Callable[[int, int], None]
    cancelled: Callable[[], bool]


@dataclass(frozen=True, slots=True)
class _Canvas:
    """What the loop starts from and must keep: clean latents and where they may change; both None for a new picture."""

    known: Tensor | None = None
    free: Tensor | None = None
    extra: Tensor | None = None


class Engine:
    """One loaded model. `render` is for one thread at a time; nothing of a request outlives it."""

    def __init__(self, checkpoint: Checkpoint, *, compiled: bool = False) -> None:
        self.checkpoint = checkpoint
        self._family = build_family(checkpoint, compiled=compiled)

    def render(self, job: Job, watch: Watch) -> list[Rgb]:
        """The finished pictures, in order; raises Cancelled within one step of `watch.cancelled` saying so."""
        with torch.inference_mode():
            match job.operation:
                case "create":
                    return list(self._finish(self._denoise(job, self._blank(job), watch), job.size))
                case "variation":
                    return list(self._finish(self._denoise(job, self._variation_canvas(job), watch), job.size))
                case "edit":
                    return self._edit(job, watch)

    def _edit(self, job: Job, watch: Watch) -> list[Rgb]:
        if job.image is None or job.mask is None:
            raise ValueError("an edit has an image and a mask")
        image, mask = job.image, job.mask
        square = square_around(mask)
        side = self._family.side(job.size)
        masks = torch.from_numpy(square.cut(mask).astype(np.float32))[None, None].to(self.checkpoint.device)
        free = functional.adaptive_max_pool2d(masks, side)
        picture = self._shrink(square.cut(image), side)
        extra = self._family.surroundings(picture, free, job.size)
        if extra is None:
            canvas = _Canvas(self._family.encode(picture), self._family.encode_mask(free))
        else:
            canvas = _Canvas(extra=extra)
        patches = self._finish(self._denoise(job, canvas, watch), square.side)
        return [put_back(image, mask, square, patch) for patch in patches]

    def _variation_canvas(self, job: Job) -> _Canvas:
        if job.image is None:
            raise ValueError("a variation has an image")
        square = centre_square(*job.image.shape[:2])
        picture = self._shrink(square.cut(job.image), self._family.side(job.size))
        return _Canvas(self._family.encode(picture), extra=self._family.surroundings(None, None, job.size))

    def _blank(self, job: Job) -> _Canvas:
        return _Canvas(extra=self._family.surroundings(None, None, job.size))

    def _shrink(self, rgb: Any, side: int) -> Tensor:
        """(S, S, 3) uint8 → (1, 3, side, side) in −1 … 1, antialiased."""
        picture = to_unit(torch.from_numpy(np.ascontiguousarray(rgb))).to(self.checkpoint.device)
        return functional.interpolate(picture, size=(side, side), mode="bicubic", antialias=True).clamp(-1, 1)

    def _finish(self, latents: Tensor, side: int) -> Rgb:
        """Latents → (N, side, side, 3) uint8."""
        pictures: Rgb = to_bytes(enlarge(self._family.decode(latents), side)).cpu().numpy()
        return pictures

    def _denoise(self, job: Job, canvas: _Canvas, watch: Watch) -> Tensor:
        """The loop: latents (count, C, H, W) of finished pictures."""
        scheduler = self._family.scheduler(job.steps, job.size)
        times = _times(scheduler, job, self._family.card.variation_strength)
        generators = [torch.Generator().manual_seed(job.seed + index) for index in range(job.count)]
        noise = self._noise(job, generators)
        latents = noise * scheduler.init_noise_sigma
        if job.operation == "variation" and canvas.known is not None:
            latents = scheduler.add_noise(canvas.known, noise, times[:1])
        condition = self._family.condition(job)
        for done, time in enumerate(times):
            if watch.cancelled():
                raise Cancelled(_GIVEN_UP)
            guess = self._predict(scheduler, latents, time, condition, canvas.extra)
            latents = scheduler.step(guess, time, latents).prev_sample
            if canvas.known is not None and canvas.free is not None:
                last = done + 1 == len(times)
                kept = canvas.known if last else scheduler.add_noise(canvas.known, noise, times[done + 1 : done + 2])
                latents = torch.where(canvas.free > 0, latents, kept)
            watch.step(done + 1, len(times))
        if watch.cancelled():
            raise Cancelled(_GIVEN_UP)
        return latents

    def _predict(
        self, scheduler: Any, latents: Tensor, time: Tensor, condition: Condition, extra: Tensor | None
    ) -> Tensor:
        """One forward pass; with guidance the batch holds every picture twice, without and with its words."""
        scaled = scheduler.scale_model_input(latents, time)
        ends = [condition.wanted] if condition.unwanted is None else [condition.unwanted, condition.wanted]
        rows = [end for end in ends for _ in range(len(latents))]
        given = None if extra is None else extra.expand(len(rows), -1, -1, -1)
        guess = self._family.predict(scaled.repeat(len(ends), 1, 1, 1), time.expand(len(rows)), rows, given)
        if condition.unwanted is None:
            return guess
        without, worded = guess.chunk(2)
        return torch.lerp(without, worded, self._family.card.guidance)

    def _noise(self, job: Job, generators: list[torch.Generator]) -> Tensor:
        """Picture i's noise comes from `seed` + i alone, drawn on the CPU so that it is the same on every device."""
        shape = (1, *self._family.latent_shape(job.size))
        return torch.cat([torch.randn(shape, generator=one) for one in generators]).to(self.checkpoint.device)


def _times(scheduler: Any, job: Job, strength: float) -> Tensor:
    """The timesteps of the job; a variation starts `strength` of the way up and so takes that share of the steps."""
    times: Tensor = scheduler.timesteps
    if job.operation != "variation":
        return times
    return times[-max(1, round(job.steps * strength)) :]
