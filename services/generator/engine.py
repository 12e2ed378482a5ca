"""Owns the denoise loop, so that every step can be counted, cancelled and shared.

One forward pass serves pictures of many requests at different timesteps: `begin` makes a request's pictures, `guess`
asks the model about any of them, `Picture.take` is their step, `finish` makes pixels of one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from services.core.errors import PortcullisError
from services.generator.enlarge import enlarge
from services.generator.family import Condition, Family
from services.generator.job import Job, Rgb
from services.generator.picture import Canvas, Picture, Row
from services.generator.pixels import to_bytes, to_unit
from services.generator.region import centre_square, put_back, square_around
from services.generator.ticket import Cancelled

_SHARED = 4  # rows from which on two cores are sooner done than one


class Spoilt(PortcullisError):
    """What the model made is no picture: numbers beyond all bounds."""


@dataclass(frozen=True, slots=True)
class Watch:
    """How the outside follows a rendering: `step` is told (done, in all) after each step, `cancelled` asked before."""

    step: Callable[[int, int], None]
    cancelled: Callable[[], bool]


UNWATCHED = Watch(step=lambda _done, _steps: None, cancelled=lambda: False)


class Engine:
    """One loaded model; nothing of a request is in it, and nothing of it changes: threads may work with it, each on
    pictures of its own.
    """

    def __init__(self, family: Family) -> None:
        self.family = family
        self._halves = ThreadPoolExecutor(2, "half")

    def guidance(self, job: Job) -> float:
        """The scale that the job's pictures are guided with."""
        return job.guidance or self.family.card.guidance

    def size_up(self, job: Job) -> tuple[int, int]:
        """Steps of each of its pictures, and rows that they all need in a pass, before it is begun."""
        share = self.family.card.variation_strength if job.operation == "variation" else 1.0
        return max(1, round(job.steps * share)), job.count * (2 if self.family.guided(job) else 1)

    def begin(self, job: Job) -> list[Picture]:
        """The job's pictures before their first step; picture i's noise comes from `seed` + i alone."""
        with torch.inference_mode():
            condition, canvas = self.family.condition(job), self._canvas(job)
            return [self._picture(job, job.seed + index, condition, canvas) for index in range(job.count)]

    def guess(self, pictures: Sequence[Picture], most_rows: int) -> list[Tensor]:
        """What the model makes of each picture's rows, in passes of at most so many; changes nothing.

        All pictures have the same shape.
        """
        with torch.inference_mode():
            rows = [row for picture in pictures for row in picture.rows()]
            passes = [self.look(rows[place : place + most_rows]) for place in range(0, len(rows), most_rows)]
            return list(torch.cat(passes).split([picture.width for picture in pictures]))

    def look(self, rows: Sequence[Row]) -> Tensor:
        """One forward pass: (rows, C, H, W). On a CPU of which torch uses one core, two take half of its rows each."""
        if len(rows) < _SHARED or self.family.device.type != "cpu" or torch.get_num_threads() > 1:
            return self._pass(rows)
        middle = len(rows) // 2
        with torch.inference_mode():
            return torch.cat(list(self._halves.map(self._pass, (rows[:middle], rows[middle:]))))

    def _pass(self, rows: Sequence[Row]) -> Tensor:
        with torch.inference_mode():
            latents = torch.cat([row.latents for row in rows])
            times = torch.stack([row.time for row in rows]).to(self.family.device)
            extras = [row.extra for row in rows if row.extra is not None]
            extra = torch.cat(extras) if extras else None
            return self.family.predict(latents, times, [row.condition for row in rows], extra)

    def take(self, picture: Picture, guess: Tensor) -> None:
        """One step of one picture, as `guess` gave it."""
        with torch.inference_mode():
            picture.take(guess)

    def settle(self) -> None:
        """Waits until a GPU has done what it was told, so that a step has ended before the next is thought of."""
        if self.family.device.type == "cuda":
            torch.cuda.synchronize(self.family.device)

    def finish(self, job: Job, picture: Picture) -> Rgb:
        """A finished picture's pixels; of an edit, all that was not marked is bit-exact the upload's."""
        with torch.inference_mode():
            if not torch.isfinite(picture.latents).all():
                raise Spoilt("the model made no picture of this; nothing was let out", reason="PICTURE_SPOILT")
            pixels = self.family.decode(picture.latents)
            if job.image is None or job.mask is None:
                return self._bytes(pixels, job.size)
            square = square_around(job.mask)
            return put_back(job.image, job.mask, square, self._bytes(pixels, square.side))

    def render(self, job: Job, watch: Watch) -> list[Rgb]:
        """One job alone, from beginning to end; raises Cancelled within one step of `watch.cancelled` saying so."""
        pictures = self.begin(job)
        steps = len(pictures[0].times)
        for done in range(1, steps + 1):
            _check(watch)
            self.step(pictures)
            watch.step(done, steps)
        _check(watch)
        return [self.finish(job, picture) for picture in pictures]

    def step(self, pictures: Sequence[Picture]) -> None:
        """One step of pictures of one shape, in one pass."""
        for picture, guess in zip(pictures, self.guess(pictures, 2 * len(pictures)), strict=True):
            self.take(picture, guess)
        self.settle()

    def try_out(self, size: int) -> None:
        """A picture of two steps, for nothing but to see that it can be made; raises what goes wrong."""
        self.render(Job("create", "", "", None, None, count=1, size=size, steps=2, seed=0), UNWATCHED)

    def _picture(self, job: Job, seed: int, condition: Condition, canvas: Canvas) -> Picture:
        """Its noise is drawn on the CPU, so that it is the same on every device."""
        scheduler = self.family.scheduler(job.steps, job.size)
        times = self._times(scheduler, job)
        chance = torch.Generator().manual_seed(seed)
        noise = torch.randn((1, *self.family.latent_shape(job.size)), generator=chance).to(self.family.device)
        latents = noise * scheduler.init_noise_sigma
        if canvas.known is not None and canvas.free is None:
            latents = scheduler.add_noise(canvas.known, noise, times[:1])
        return Picture(scheduler, times, noise, latents, condition, self.guidance(job), canvas, chance)

    def _canvas(self, job: Job) -> Canvas:
        family = self.family
        if job.image is None:
            return Canvas(extra=family.surroundings(None, None, job.size))
        side = family.side(job.size)
        if job.mask is None:
            known = family.encode(self._shrink(centre_square(*job.image.shape[:2]).cut(job.image), side))
            return Canvas(known=known, extra=family.surroundings(None, None, job.size))
        square = square_around(job.mask)
        picture = self._shrink(square.cut(job.image), side)
        marked = torch.from_numpy(square.cut(job.mask).astype(np.float32))[None, None]
        free = functional.adaptive_max_pool2d(marked, side).to(family.device)
        if (extra := family.surroundings(picture, free, job.size)) is not None:
            return Canvas(extra=extra)
        return Canvas(family.encode(picture), family.encode_mask(free))

    def _times(self, scheduler: Any, job: Job) -> Tensor:
        """The timesteps; a variation starts part of the way up and so takes that share of the steps."""
        times: Tensor = scheduler.timesteps
        if job.operation != "variation":
            return times
        return times[-max(1, round(len(times) * self.family.card.variation_strength)) :]

    def _shrink(self, rgb: Any, side: int) -> Tensor:
        """(S, S, 3) uint8 → (1, 3, side, side) in −1 … 1, antialiased."""
        picture = to_unit(torch.from_numpy(np.ascontiguousarray(rgb))).to(self.family.device)
        return functional.interpolate(picture, size=(side, side), mode="bicubic", antialias=True).clamp(-1, 1)

    def _bytes(self, pixels: Tensor, side: int) -> Rgb:
        """(1, 3, S, S) → (side, side, 3) uint8."""
        rgb: Rgb = to_bytes(enlarge(pixels, side))[0].cpu().numpy()
        return rgb


def _check(watch: Watch) -> None:
    if watch.cancelled():
        raise Cancelled("the rendering was given up")
