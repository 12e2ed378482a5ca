"""What the engine adds to a step, how soon it lets go, and diffusers' own pipeline beside it."""

from __future__ import annotations

import statistics
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from benchmarks.rendering.loads import ENDLESS_SECONDS, job
from services.generator.batch import Batch
from services.generator.engine import UNWATCHED, Engine
from services.generator.family import Family
from services.generator.job import Job
from services.generator.pace import Pace, Shape
from services.generator.picture import Picture
from services.generator.render_queue import RenderQueue
from services.generator.ticket import Progress, Ticket


class TimedFamily:
    """A model that notes how long its own passes take."""

    def __init__(self, family: Family) -> None:
        self._family = family
        self.seconds = 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._family, name)

    def predict(self, *arguments: Any) -> Tensor:
        """One pass, to its end."""
        begun = time.perf_counter()
        guess: Tensor = self._family.predict(*arguments)
        if guess.is_cuda:
            torch.cuda.synchronize(guess.device)
        self.seconds += time.perf_counter() - begun
        return guess


class RememberingEngine(Engine):
    """Knows the pictures that it began, by their job's seed."""

    def __init__(self, family: Family) -> None:
        super().__init__(family)
        self.begun: dict[int, list[Picture]] = {}

    def begin(self, wanted: Job) -> list[Picture]:
        """As the engine does."""
        self.begun[wanted.seed] = super().begin(wanted)
        return self.begun[wanted.seed]


def overhead(engine: Engine, paces: Mapping[Shape, Pace], pictures: int, steps: int) -> float:
    """Time of a step beyond the model's own pass, over that pass: the median over steps of so many pictures at once."""
    family = TimedFamily(engine.family)
    batch = Batch(Engine(cast("Family", family)), paces)
    for number in range(pictures):
        batch.begin(Ticket(job(engine, number, steps), _silent, time.monotonic() + ENDLESS_SECONDS))
    shares = []
    for _ in range(steps - 1):  # the last decodes
        before, begun = family.seconds, time.perf_counter()
        batch.step()
        model = family.seconds - before
        shares.append((time.perf_counter() - begun - model) / model)
    return statistics.median(shares)


def steps_after_cancel(engine: Engine, paces: Mapping[Shape, Pace], runs: int) -> int:
    """The most steps that a request's picture takes once it was given up, in company of another."""
    remembering, rng, most = RememberingEngine(engine.family), np.random.default_rng(3), 0
    queue = RenderQueue(remembering, paces, limit=100, pixel_limit=10**12)
    for number in range(0, 2 * runs, 2):
        tickets = [
            queue.submit(job(engine, seed, 30), "bench", "new", ENDLESS_SECONDS, _silent)
            for seed in (number, number + 1)
        ]
        while number not in remembering.begun:
            time.sleep(0.001)
        time.sleep(float(rng.uniform(0, 10 * max(pace.seconds(2) for pace in paces.values()))))
        queue.cancel(tickets[0])
        (picture,) = remembering.begun[number]
        done = picture.done
        tickets[0].result.exception()
        queue.cancel(tickets[1])
        tickets[1].result.exception()
        most = max(most, picture.done - done)
    queue.close()
    return most


@dataclass(frozen=True, slots=True)
class Peer:
    """Seconds of one request, ours and diffusers' own; the most by which any value of a picture differs, of 0 … 1."""

    ours: float
    theirs: float
    difference: float


def beside_diffusers(engine: Engine, folder: Path, runs: int) -> Peer | None:
    """The same requests through `StableDiffusionPipeline`; None where the model is of another make."""
    if not (folder / "unet").is_dir() or not (folder / "vae").is_dir():
        return None
    pipe, ours, theirs, most = _pipeline(folder), [], [], 0.0
    for number in range(runs):
        wanted = job(engine, number)
        begun = time.perf_counter()
        engine.render(wanted, UNWATCHED)
        ours.append(time.perf_counter() - begun)
        begun = time.perf_counter()
        picture = pipe(
            wanted.words,
            height=engine.family.side(wanted.size),
            width=engine.family.side(wanted.size),
            num_inference_steps=wanted.steps,
            guidance_scale=engine.guidance(wanted),
            latents=engine.begin(wanted)[0].noise,
            output_type="pt",
        ).images
        theirs.append(time.perf_counter() - begun)
        most = max(most, float((_drawn(engine, wanted) - picture).abs().max()))
    return Peer(statistics.median(ours), statistics.median(theirs), most)


def _drawn(engine: Engine, wanted: Job) -> Tensor:
    """(1, 3, S, S) in 0 … 1, before a small model's pictures are enlarged."""
    (picture,) = engine.begin(wanted)
    while not picture.finished:
        engine.step([picture])
    with torch.inference_mode():
        return (engine.family.decode(picture.latents) / 2 + 0.5).clamp(0, 1)


def _pipeline(folder: Path) -> Any:
    import diffusers
    import transformers

    diffusers.utils.logging.set_verbosity_error()
    warnings.simplefilter("ignore", FutureWarning)  # it prints all of a scheduler's numbers
    index = diffusers.DiffusionPipeline.load_config(folder)
    parts = {}
    for name in ("vae", "text_encoder", "tokenizer", "unet", "scheduler"):
        library, kind = index[name]
        module = diffusers if library == "diffusers" else transformers
        parts[name] = getattr(module, kind).from_pretrained(folder / name, local_files_only=True)
    pipe = diffusers.StableDiffusionPipeline(
        **parts, safety_checker=None, feature_extractor=None, requires_safety_checker=False
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


def _silent(_progress: Progress) -> None:
    """Listens to nothing."""
