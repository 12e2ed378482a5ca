"""The world of the embedded model and its reader; the shipped model itself is read at the end."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from services.generator.checkpoint import load_checkpoint
from services.generator.engine import UNWATCHED, Engine
from services.generator.families import build_family
from services.generator.job import Job
from services.generator.pixels import to_bytes
from training.generator.parse import read, says
from training.generator.scenes import caption, draw_scene, render


def scenes(objects: int, count: int) -> list:
    rng = np.random.default_rng(objects)
    return [draw_scene(rng, objects) for _ in range(count)]


@pytest.mark.parametrize("objects", [1, 2])
@pytest.mark.parametrize("side", [64, 256])
def test_true_renderings_are_read_without_a_mistake(objects: int, side: int) -> None:
    drawn = scenes(objects, 100)
    pictures = to_bytes(render(drawn, side)[0]).numpy()
    assert all(says(scene, *read(picture))["all"] for scene, picture in zip(drawn, pictures, strict=True))


def test_captions_say_all_objects() -> None:
    rng = np.random.default_rng(0)
    for scene in scenes(2, 50):
        text = caption(scene, rng)
        assert all(f"{item.colour} {item.shape}" in text for item in scene.items)


def test_the_shipped_model_draws_what_it_is_told() -> None:
    engine = Engine(build_family(load_checkpoint("models/scenes", "", torch.device("cpu"))))
    card = engine.family.card
    rng = np.random.default_rng(4)
    wanted = scenes(1, 12)
    right = []
    for scene in wanted:
        job = Job("create", caption(scene, rng), "", None, None, 1, card.size, card.steps, seed=5)
        right.append(says(scene, *read(engine.render(job, UNWATCHED)[0])))
    assert np.mean([one["background"] for one in right]) >= 0.9
    assert np.mean([one["colours"] for one in right]) >= 0.8
    assert np.mean([one["shapes"] for one in right]) >= 0.6
