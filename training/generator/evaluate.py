"""Measures the shipped models on held-out captions: `python -m training.generator.evaluate --seed N --json OUT`.

Everything is rendered by the service's own engine; pixels are read back into scenes by `parse`, which reads true
renderings without a mistake (`true_renders_right`, measured each time).
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from rich.progress import track

from benchmarks.rendering.speed import step_level_speedup
from services.generator.checkpoint import load_checkpoint
from services.generator.engine import UNWATCHED, Engine
from services.generator.families import build_family
from services.generator.job import Job, Rgb
from services.generator.pixels import to_bytes
from training.generator import zero_shot
from training.generator.captions import caption, plain_caption
from training.generator.parse import read, says
from training.generator.render import coverage, render
from training.generator.scenes import Item, Scene, can_be, draw_held_out

VISIBLE = 3.0  # mean difference of grey levels from which a variation counts as another picture
MARGIN = 0.05  # of the side, kept free around an object that is to be replaced
NAMES = {1: "one_object", 2: "two_objects", 3: "three_objects"}


def main() -> None:
    """Reads the arguments, measures, prints and writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="models/scenes")
    parser.add_argument("--sha256", default="", help="digest of a model that does not ship with the house")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=200, help="pictures per figure")
    parser.add_argument("--json", type=Path, help="where the figures go")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    engine = Engine(build_family(load_checkpoint(arguments.model, arguments.sha256, torch.device("cpu"))))
    figures = measure(engine, arguments.seed, arguments.count)
    print(json.dumps(figures, indent=2))
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")


def measure(engine: Engine, seed: int, count: int) -> dict[str, float]:
    """All figures, shares 0 … 1 and seconds."""
    rng = np.random.default_rng(seed)
    figures = {"true_renders_right": _readable(rng, count), **zero_shot.measure(rng, count)}
    for objects, name in NAMES.items():
        right = [_created(engine, rng, objects) for _ in track(range(count), name, transient=True)]
        figures |= {f"{name}_{part}": float(np.mean([one[part] for one in right])) for part in right[0]}
    edits = [_edited(engine, rng) for _ in track(range(count), "edits", transient=True)]
    figures["inpaint_known_exact"] = float(np.mean([exact for exact, _ in edits]))
    figures["inpaint_new_right"] = float(np.mean([right for _, right in edits]))
    varied = [_varied(engine, rng) for _ in track(range(count), "variations", transient=True)]
    figures["variation_kept"] = float(np.mean(varied))
    figures["seconds_4_images"] = _seconds(engine)
    figures["step_level_speedup"] = step_level_speedup(engine)
    return figures


def _readable(rng: np.random.Generator, count: int) -> float:
    """The share of true renderings that are read without a mistake."""
    scenes = [draw_held_out(rng, 1 + index % 3) for index in range(count)]
    return float(np.mean([says(scene, read(_picture(scene)))["all"] for scene in scenes]))


def _job(engine: Engine, rng: np.random.Generator) -> Job:
    card = engine.family.card
    return Job("create", "", "", None, None, 1, card.size, card.steps, int(rng.integers(2**31)))


def _picture(scene: Scene, side: int = 256) -> Rgb:
    picture: Rgb = to_bytes(render([scene], side)[0])[0].numpy()
    return picture


def _created(engine: Engine, rng: np.random.Generator, objects: int) -> dict[str, bool]:
    """Which parts of a held-out caption's picture are right."""
    scene = draw_held_out(rng, objects)
    text = caption(scene, rng)
    picture = engine.render(replace(_job(engine, rng), words=text), UNWATCHED)[0]
    return says(_as_said(scene, text), read(picture))


def _as_said(scene: Scene, text: str) -> Scene:
    """The scene, its relation open where the caption leaves it so."""
    return replace(scene, relation="and") if len(scene.items) == 2 and " and " in text else scene


def _edited(engine: Engine, rng: np.random.Generator) -> tuple[bool, bool]:
    """Another object in place of one of two: whether the rest is bit-exact, whether the new one is right."""
    before, after = _edit(rng)
    image = _picture(before)
    mask = _around(before.items[1], len(image))
    job = replace(_job(engine, rng), operation="edit", words=plain_caption(after), image=image, mask=mask)
    picture = engine.render(job, UNWATCHED)[0]
    return bool(np.array_equal(picture[~mask], image[~mask])), says(after, read(picture))["all"]


def _edit(rng: np.random.Generator) -> tuple[Scene, Scene]:
    """A scene, and the same with another second object."""
    while True:
        before, other = draw_held_out(rng, 2), draw_held_out(rng, 2).items[1]
        new = replace(before.items[1], colour=other.colour, shape=other.shape)
        after = replace(before, items=(before.items[0], new))
        if before.relation not in ("inside", "behind") and after != before and can_be(after):
            return before, after


def _around(item: Item, side: int) -> np.ndarray:
    """A square mask that holds the object and some room about it."""
    covered = coverage([replace(item, shape="square", radius=item.radius * 1.2 + MARGIN)], side)[0, 0].numpy() > 0
    mask: np.ndarray = covered
    return mask


def _varied(engine: Engine, rng: np.random.Generator) -> bool:
    """Whether ground, colours and shapes stayed, and the picture is another one."""
    scene = draw_held_out(rng, int(rng.integers(1, 4)))
    image = _picture(scene)
    picture = engine.render(replace(_job(engine, rng), operation="variation", image=image), UNWATCHED)[0]
    reading = read(picture)
    kept = sorted((item.colour, item.shape) for item in reading.items) == sorted(
        (item.colour, item.shape) for item in scene.items
    )
    changed = np.abs(picture.astype(float) - image).mean() >= VISIBLE
    return bool(kept and reading.ground == scene.ground and changed)


def _seconds(engine: Engine) -> float:
    """The best of three: four pictures from one caption."""
    text = "a red circle above a blue square on a yellow background"
    job = replace(_job(engine, np.random.default_rng(1)), words=text, count=4)
    times = []
    for _ in range(3):
        begun = time.perf_counter()
        engine.render(job, UNWATCHED)
        times.append(time.perf_counter() - begun)
    return min(times)


if __name__ == "__main__":
    main()
