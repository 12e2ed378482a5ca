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


class Engine:
    """One loaded model. `render` is for one thread at a time; nothing of a request outlives it."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint
        self._core = int(checkpoint.unet.config.sample_size) * checkpoint.pixels.factor

    def render(self, job: Job, watch: Watch) -> list[Rgb]:
        """The finished pictures, in order; raises Cancelled within one step of `watch.cancelled` saying so."""
        with torch.inference_mode():
            match job.operation:
                case "create":
                    return list(self._finish(self._denoise(job, _Canvas(), watch), job.size))
                case "variation":
                    return list(self._finish(self._denoise(job, self._variation_canvas(job), watch), job.size))
                case "edit":
                    return self._edit(job, watch)

    def _edit(self, job: Job, watch: Watch) -> list[Rgb]:
        if job.image is None or job.mask is None:
            raise ValueError("an edit has an image and a mask")
        image, mask = job.image, job.mask
        square = square_around(mask)
        masks = torch.from_numpy(square.cut(mask).astype(np.float32))[None, None]
        free = functional.adaptive_max_pool2d(masks, self._core).to(self.checkpoint.device)
        known = self._shrink(square.cut(image))
        canvas = _Canvas(self.checkpoint.pixels.encode(known), self.checkpoint.pixels.encode_mask(free))
        patches = self._finish(self._denoise(job, canvas, watch), square.side)
        return [put_back(image, mask, square, patch) for patch in patches]

    def _variation_canvas(self, job: Job) -> _Canvas:
        if job.image is None:
            raise ValueError("a variation has an image")
        square = centre_square(*job.image.shape[:2])
        return _Canvas(self.checkpoint.pixels.encode(self._shrink(square.cut(job.image))))

    def _shrink(self, rgb: Any) -> Tensor:
        """(S, S, 3) uint8 → (1, 3, core, core) in −1 … 1, antialiased."""
        picture = to_unit(torch.from_numpy(np.ascontiguousarray(rgb))).to(self.checkpoint.device)
        size = (self._core, self._core)
        return functional.interpolate(picture, size=size, mode="bicubic", antialias=True).clamp(-1, 1)

    def _finish(self, latents: Tensor, side: int) -> Rgb:
        """Latents → (N, side, side, 3) uint8."""
        pictures: Rgb = to_bytes(enlarge(self.checkpoint.pixels.decode(latents), side)).cpu().numpy()
        return pictures

    def _denoise(self, job: Job, canvas: _Canvas, watch: Watch) -> Tensor:
        """The loop: latents (count, C, H, W) of finished pictures."""
        parts, card = self.checkpoint, self.checkpoint.card
        scheduler = type(parts.scheduler).from_config(parts.scheduler.config)
        times = _times(scheduler, job, card.variation_strength)
        noise = self._noise(job)
        latents = noise * scheduler.init_noise_sigma
        if job.operation == "variation" and canvas.known is not None:
            latents = scheduler.add_noise(canvas.known, noise, times[:1])
        guidance = card.guidance if job.words else 1.0
        text = self._text([job.words] if guidance == 1.0 else [job.unwanted, job.words], job.count)
        for done, time in enumerate(times):
            if watch.cancelled():
                raise Cancelled(_GIVEN_UP)
            guess = self._predict(scheduler, latents, time, text, guidance)
            latents = scheduler.step(guess, time, latents).prev_sample
            if canvas.known is not None and canvas.free is not None:
                last = done + 1 == len(times)
                kept = canvas.known if last else scheduler.add_noise(canvas.known, noise, times[done + 1 : done + 2])
                latents = torch.where(canvas.free > 0, latents, kept)
            watch.step(done + 1, len(times))
        if watch.cancelled():
            raise Cancelled(_GIVEN_UP)
        return latents

    def _predict(self, scheduler: Any, latents: Tensor, time: Tensor, text: Tensor, guidance: float) -> Tensor:
        """One forward pass; with guidance the batch holds every picture twice, without and with its words."""
        scaled = scheduler.scale_model_input(latents, time)
        if guidance == 1.0:
            plain: Tensor = self.checkpoint.unet(scaled, time, text).sample
            return plain
        without, worded = self.checkpoint.unet(torch.cat([scaled, scaled]), time, text).sample.chunk(2)
        return torch.lerp(without, worded, guidance)

    def _text(self, texts: list[str], count: int) -> Tensor:
        """Encoded texts, each repeated for every picture: (texts · count, tokens, width)."""
        parts = self.checkpoint
        encoded = parts.tokenizer(
            texts,
            padding="max_length",
            max_length=parts.tokenizer.model_max_length,
            truncation=True,
            return_tensors="pt",
        )
        states: Tensor = parts.text_encoder(encoded.input_ids.to(parts.device)).last_hidden_state
        return states.repeat_interleave(count, dim=0)

    def _noise(self, job: Job) -> Tensor:
        """Picture i's noise comes from `seed` + i alone, drawn on the CPU so that it is the same on every device."""
        config = self.checkpoint.unet.config
        shape = (1, int(config.out_channels), int(config.sample_size), int(config.sample_size))
        generators = [torch.Generator().manual_seed(job.seed + index) for index in range(job.count)]
        return torch.cat([torch.randn(shape, generator=one) for one in generators]).to(self.checkpoint.device)


def _times(scheduler: Any, job: Job, strength: float) -> Tensor:
    """The timesteps of the job; a variation starts `strength` of the way up and so takes that share of the steps."""
    scheduler.set_timesteps(job.steps)
    times: Tensor = scheduler.timesteps
    if job.operation != "variation":
        return times
    return times[-max(1, round(job.steps * strength)) :]
