"""The world of the embedded model, its captions and its reader."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from services.generator.pixels import to_bytes
from training.scenes import zero_shot
from training.scenes.captions import caption, plain_caption, words
from training.scenes.codes import CODES, NOTHING, OFFSET, codes, shown
from training.scenes.parse import read, says
from training.scenes.render import render
from training.scenes.scenes import Item, Scene, can_be, draw_known, draw_scene, lay_out
from training.scenes.shapes import SHAPES

seeds = st.integers(0, 2**32 - 1)
counts = st.integers(1, 3)


def scenes(objects: int, count: int) -> list[Scene]:
    rng = np.random.default_rng(objects)
    return [draw_scene(rng, objects) for _ in range(count)]


@pytest.mark.parametrize("objects", [1, 2, 3])
def test_true_renderings_are_read_without_a_mistake(objects: int) -> None:
    drawn = scenes(objects, 30)

    pictures = to_bytes(render(drawn, 256)[0]).numpy()

    assert all(says(scene, read(picture))["all"] for scene, picture in zip(drawn, pictures, strict=True))


def test_a_picture_of_something_else_is_not_what_was_said() -> None:
    first, second = scenes(2, 2)

    reading = read(to_bytes(render([first], 256)[0]).numpy()[0])

    assert not says(second, reading)["all"]


@given(seeds, counts)
def test_a_caption_names_every_object_and_only_words_of_the_vocabulary(seed: int, objects: int) -> None:
    rng = np.random.default_rng(seed)
    scene = draw_scene(rng, objects)

    text = caption(scene, rng)

    assert all(f"{item.colour} {item.shape}" in text for item in scene.items)
    assert set(text.replace(",", " , ").split()) <= set(words())


@given(seeds, counts)
def test_every_scene_can_be_told_apart_from_its_ground(seed: int, objects: int) -> None:
    assert can_be(draw_scene(np.random.default_rng(seed), objects))


@given(seeds, counts)
def test_another_layout_shows_the_same_things(seed: int, objects: int) -> None:
    rng = np.random.default_rng(seed)
    scene = draw_scene(rng, objects)

    other = lay_out(rng, scene)

    assert Counter((one.colour, one.shape) for one in other.items) == Counter(
        (one.colour, one.shape) for one in scene.items
    )
    assert (other.ground, other.relation) == (scene.ground, scene.relation)


@given(seeds)
def test_training_never_sees_a_held_out_combination(seed: int) -> None:
    assert not draw_known(np.random.default_rng(seed), (0.3, 0.4, 0.3)).held_out()


def test_the_plain_caption_says_where_a_single_object_is() -> None:
    (scene,) = [one for one in scenes(1, 60) if one.place and one.size == "large"][:1]

    text = plain_caption(scene)

    assert text.startswith("a large ")
    assert f" {scene.place} " in text


def test_a_position_shows_what_covers_most_of_it_and_the_bare_ground_shows_nothing() -> None:
    ring = Item("blue", "ring", 0.5, 0.5, 0.4)
    star = Item("red", "star", 0.5, 0.5, 0.14)

    shapes, _places = shown([Scene((star, ring), "inside", "white")], 8)

    assert shapes[0, 3, 3] == SHAPES.index("star")
    assert shapes[0, 1, 3] == SHAPES.index("ring")
    assert shapes[0, 0, 0] == NOTHING


@given(seeds)
def test_all_positions_of_an_object_agree_where_its_middle_is(seed: int) -> None:
    scene = draw_scene(np.random.default_rng(seed), 1)
    (item,) = scene.items

    said = codes([scene], 8)[0]

    covered = said[: CODES.shape[1]].abs().sum(dim=0) > 0
    line = (torch.arange(8) + 0.5) / 8
    across = line.expand(8, 8)[covered] + said[-3][covered] / OFFSET
    assert covered.any()
    assert np.allclose(across, item.x, atol=1e-5)


def test_the_shipped_clip_finds_the_caption_of_a_picture() -> None:
    figures = zero_shot.measure(np.random.default_rng(4), 60)
    assert figures["clip_caption"] >= 0.9
    assert figures["clip_shape"] >= 0.85
