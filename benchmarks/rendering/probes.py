"""What the engine adds to a step, how soon it lets go, and diffusers' own pipeline beside it."""

from __future__ import annotations

import statistics
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from benchmarks.rendering.loads import ENDLESS_SECONDS, job
from services.generator.batch import Batch
from services.generator.checkpoint import load_checkpoint
from services.generator.engine import UNWATCHED, Engine
from services.generator.family import Family
from services.generator.job import Job
from services.generator.pace import Pace, Shape
from services.generator.picture import Picture
from services.generator.render_queue import RenderQueue
from services.generator.ticket import Progress, Ticket


class TimedFamily:
    """A model that notes when its own passes begin and end; on a CPU two may run side by side."""

    def __init__(self, family: Family) -> None:
        self._family = family
        self.moments: list[float] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._family, name)

    def predict(self, *arguments: Any) -> Tensor:
        """One pass, to its end."""
        begun = time.perf_counter()
        guess: Tensor = self._family.predict(*arguments)
        if guess.is_cuda:
            torch.cuda.synchronize(guess.device)
        self.moments += [begun, time.perf_counter()]
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
        begun = time.perf_counter()
        batch.step()
        model = max(family.moments) - min(family.moments)
        shares.append((time.perf_counter() - begun - model) / model)
        family.moments.clear()
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


def beside_diffusers(engine: Engine, model: str, runs: int) -> Peer:
    """The same requests through `StableDiffusionPipeline`, with the parts of the embedded model."""
    pipe, ours, theirs, most = _pipeline(model), [], [], 0.0
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


def _pipeline(model: str) -> Any:
    import diffusers

    diffusers.utils.logging.set_verbosity_error()
    warnings.simplefilter("ignore", FutureWarning)  # it prints all of a scheduler's numbers
    loaded = load_checkpoint(model, "", torch.device("cpu")).parts
    parts = {name: loaded[name] for name in ("vae", "text_encoder", "tokenizer", "unet", "scheduler")}
    _suit(parts["vae"], parts["unet"])
    pipe = diffusers.StableDiffusionPipeline(
        **parts, safety_checker=None, feature_extractor=None, requires_safety_checker=False
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


def _suit(vae: Any, unet: Any) -> None:
    """Gives that pipeline what it asks of a VAE beyond ours, and the UNet the picture that it does not give: none."""
    decode, width = vae.decode, unet.config.cross_attention_dim
    levels = vae.config.factor.bit_length()
    vae.register_to_config(block_out_channels=(1,) * levels, scaling_factor=1.0)
    vae.decode = lambda latents, **_asked: (decode(latents).sample,)

    def show_nothing(_unet: Any, given: Any, named: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        return given, named | {"added_cond_kwargs": {"image_embeds": torch.zeros(len(given[0]), width)}}

    unet.register_forward_pre_hook(show_nothing, with_kwargs=True)


def _silent(_progress: Progress) -> None:
    """Listens to nothing."""
