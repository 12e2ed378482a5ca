"""Measures the shipped model on held-out captions: `python -m training.generator.evaluate --seed N --json OUT`.

Everything is rendered by the service's own engine; pixels are read back into scenes by `parse`, which reads true
renderings without a mistake.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from benchmarks.rendering.speed import step_level_speedup
from services.generator.checkpoint import load_checkpoint
from services.generator.engine import UNWATCHED, Engine
from services.generator.families import build_family
from services.generator.job import Job, Rgb
from services.generator.pixels import to_bytes
from training.generator.parse import read, says
from training.generator.scenes import Item, Scene, caption, draw_scene, render

VISIBLE = 3.0  # mean difference of grey levels from which a variation counts as another picture
MARGIN = 0.05  # of the side, kept free around an object that is to be replaced


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
    figures: dict[str, float] = {}
    for name, objects in (("one_object", 1), ("two_objects", 2)):
        right = [_created(engine, rng, objects) for _ in range(count)]
        figures |= {f"{name}_{part}": float(np.mean([one[part] for one in right])) for part in right[0]}
    edits = [_edited(engine, rng) for _ in range(count)]
    figures["inpaint_known_exact"] = float(np.mean([exact for exact, _ in edits]))
    figures["inpaint_new_right"] = float(np.mean([right for _, right in edits]))
    figures["variation_kept"] = float(np.mean([_varied(engine, rng) for _ in range(count)]))
    figures["seconds_4_images"] = _seconds(engine)
    figures["step_level_speedup"] = step_level_speedup(engine)
    return figures


def _job(engine: Engine, rng: np.random.Generator) -> Job:
    card = engine.family.card
    return Job("create", "", "", None, None, 1, card.size, card.steps, int(rng.integers(2**31)))


def _held_out(rng: np.random.Generator, objects: int) -> Scene:
    while not (scene := draw_scene(rng, objects)).held_out():
        pass
    return scene


def _picture(engine: Engine, scene: Scene) -> Rgb:
    picture: Rgb = to_bytes(render([scene], engine.family.card.size)[0])[0].numpy()
    return picture


def _created(engine: Engine, rng: np.random.Generator, objects: int) -> dict[str, bool]:
    """Which parts of a held-out caption's picture are right."""
    scene = _held_out(rng, objects)
    text = caption(scene, rng)
    picture = engine.render(replace(_job(engine, rng), words=text), UNWATCHED)[0]
    right = says(scene, *read(picture))
    if f" {scene.relation} " not in text:  # a caption may leave open how the objects stand
        right["all"] = all(value for part, value in right.items() if part not in ("relation", "all"))
    return right


def _edited(engine: Engine, rng: np.random.Generator) -> tuple[bool, bool]:
    """Another object in place of the second: whether the rest is bit-exact, whether the new picture is right."""
    before, other = _held_out(rng, 2), _held_out(rng, 2)
    old, new = before.items[1], other.items[1]
    if new.colour == before.background:
        return _edited(engine, rng)
    after = Scene(
        (before.items[0], Item(new.colour, new.shape, old.x, old.y, old.radius)), before.relation, before.background
    )
    image = _picture(engine, before)
    mask = _around(old, image.shape[0])
    text = _plainly(after)
    job = replace(_job(engine, rng), operation="edit", words=text, image=image, mask=mask)
    picture = engine.render(job, UNWATCHED)[0]
    return bool(np.array_equal(picture[~mask], image[~mask])), says(after, *read(picture))["all"]


def _plainly(scene: Scene) -> str:
    """The one caption that says everything."""
    words = [f"a {item.colour} {item.shape}" for item in scene.items]
    return f"{words[0]} {scene.relation} {words[1]} on a {scene.background} background"


def _around(item: Item, side: int) -> np.ndarray:
    line = (np.arange(side) + 0.5) / side
    reach = 1.15 * item.radius + MARGIN
    return (np.abs(line - item.y) < reach)[:, None] & (np.abs(line - item.x) < reach)[None, :]


def _varied(engine: Engine, rng: np.random.Generator) -> bool:
    """Whether background, colours and shapes stayed, and the picture is another one."""
    scene = _held_out(rng, int(rng.integers(1, 3)))
    image = _picture(engine, scene)
    picture = engine.render(replace(_job(engine, rng), operation="variation", image=image), UNWATCHED)[0]
    background, items = read(picture)
    kept = sorted((item.colour, item.shape) for item in items) == sorted((one.colour, one.shape) for one in scene.items)
    changed = np.abs(picture.astype(float) - image).mean() >= VISIBLE
    return bool(kept and background == scene.background and changed)


def _seconds(engine: Engine) -> float:
    """The best of three: four pictures from one caption."""
    card = engine.family.card
    job = Job(
        "create", "a red circle above a blue square on a yellow background", "", None, None, 4, card.size, card.steps, 1
    )
    times = []
    for _ in range(3):
        begun = time.perf_counter()
        engine.render(job, UNWATCHED)
        times.append(time.perf_counter() - begun)
    return min(times)


if __name__ == "__main__":
    main()
