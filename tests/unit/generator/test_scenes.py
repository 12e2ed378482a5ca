"""The world of the embedded model, its captions and its reader."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from services.generator.checkpoint import load_checkpoint
from services.generator.engine import UNWATCHED, Engine
from services.generator.families import build_family
from services.generator.job import Job
from services.generator.pixels import to_bytes
from services.generator.scene_latents import LOOK, OFFSET, SHAPE, SLOT, STRENGTH, agreed, things
from training.generator import zero_shot
from training.generator.captions import caption, plain_caption, words
from training.generator.codes import SHAPE_CODES, codes
from training.generator.parse import read, says
from training.generator.render import render
from training.generator.scenes import Item, Scene, can_be, draw_known, draw_scene, lay_out, lay_out_anew

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
def test_three_things_laid_out_anew_change_rows_and_keep_their_order(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scene = draw_scene(rng, 3)

    other = lay_out_anew(rng, scene)

    assert [item.y for item in other.items] != [item.y for item in scene.items]
    assert [item.shape for item in other.items] == [item.shape for item in scene.items]


@given(seeds)
def test_a_single_thing_is_laid_out_anew_on_the_opposite_side(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scene = draw_scene(rng, 1)

    (item,), (there,) = scene.items, lay_out_anew(rng, scene).items

    for one, other in ((item.x - 0.5, there.x - 0.5), (item.y - 0.5, there.y - 0.5)):
        assert one * other <= 0 or max(abs(one), abs(other)) < 0.1


def test_an_embedding_tells_words_in_reading_order_and_roughly_where() -> None:
    ring = Item("blue", "ring", 0.5, 0.75, 0.3)
    star = Item("red", "star", 0.25, 0.25, 0.14)

    (told,) = things(codes([Scene((ring, star), "below", "white")]), 192)

    assert torch.equal(told[:SHAPE], SHAPE_CODES["star"])
    assert torch.equal(told[SHAPE + LOOK :][:SHAPE], SHAPE_CODES["ring"])
    assert (told[45:51] / STRENGTH).tolist() == [-1, -1, -1, 0, 1, 1]  # up on the left and small; low and large
    assert not told[51:].any()


@given(seeds)
def test_training_never_sees_a_held_out_combination(seed: int) -> None:
    assert not draw_known(np.random.default_rng(seed), (0.3, 0.4, 0.3)).held_out()


def test_the_plain_caption_says_where_a_single_object_is() -> None:
    (scene,) = [one for one in scenes(1, 60) if one.place and one.size == "large"][:1]

    text = plain_caption(scene)

    assert text.startswith("a large ")
    assert f" {scene.place} " in text


def test_a_position_says_what_is_in_front_and_what_is_behind_it() -> None:
    ring = Item("blue", "ring", 0.5, 0.5, 0.4)
    star = Item("red", "star", 0.5, 0.5, 0.14)

    said = codes([Scene((star, ring), "inside", "white")])[0]

    assert torch.equal(said[:SHAPE, 3, 3], SHAPE_CODES["star"])
    assert torch.equal(said[:SHAPE, 1, 3], SHAPE_CODES["ring"])
    assert torch.equal(said[SLOT : SLOT + SHAPE, 3, 3], torch.zeros(SHAPE))  # the ring is open there
    assert not said[: 2 * SLOT, 0, 0].any()


@given(seeds)
def test_all_positions_of_an_object_agree_where_its_middle_is(seed: int) -> None:
    scene = draw_scene(np.random.default_rng(seed), 1)
    (item,) = scene.items

    said = codes([scene])[0]

    covered = said[:SHAPE].any(dim=0)
    line = (torch.arange(8) + 0.5) / 8
    across = line.expand(8, 8)[covered] + said[SLOT - 3][covered] / OFFSET
    assert covered.any()
    assert np.allclose(across, item.x, atol=1e-5)


@settings(max_examples=20)
@given(seeds, counts)
def test_positions_agree_about_what_noise_made_them_say(seed: int, objects: int) -> None:
    truth = codes([draw_scene(np.random.default_rng(seed), objects)])
    shown = truth[:, :SHAPE].any(dim=1, keepdim=True)
    noise = 0.3 * torch.randn(truth.shape, generator=torch.Generator().manual_seed(seed))

    said = agreed(truth + noise)

    slots = said[:, : 2 * SLOT].unflatten(1, (2, SLOT))  # a neighbour's object may have come before this one
    away = ((slots - truth[:, None, :SLOT]) * shown[:, None]).abs().amax(dim=2).amin(dim=1)
    assert away.max() < 0.5


def test_what_reaches_over_from_a_neighbour_stays_in_front() -> None:
    disc, star = Item("blue", "circle", 0.5, 0.5, 0.4), Item("red", "star", 0.5, 0.5, 0.14)
    said, alone = codes([Scene((star, disc), "inside", "white"), Scene((disc,), "", "white")])
    (row, column) = (said[:SHAPE].movedim(0, -1) == SHAPE_CODES["star"]).all(dim=-1).nonzero()[0].tolist()
    said[:, row, column] = alone[:, row, column]  # as if it had not been seen to reach there

    front = agreed(said[None])[0, :SHAPE, row, column]

    assert torch.allclose(front, SHAPE_CODES["star"], atol=0.1)


def test_the_shipped_clip_finds_the_caption_of_a_picture() -> None:
    figures = zero_shot.measure(np.random.default_rng(4), 60)
    assert figures["clip_caption"] >= 0.9
    assert figures["clip_shape"] >= 0.85


@pytest.fixture(scope="module")
def shipped() -> Engine:
    return Engine(build_family(load_checkpoint("models/scenes", "", torch.device("cpu"))))


def test_the_shipped_model_paints_what_latents_say(shipped: Engine) -> None:
    drawn = [scene for objects in (1, 2, 3) for scene in scenes(objects, 6)]

    with torch.inference_mode():
        pictures = to_bytes(shipped.family.decode(codes(drawn))).numpy()

    assert all(says(scene, read(picture))["all"] for scene, picture in zip(drawn, pictures, strict=True))


def test_the_shipped_model_sees_what_pictures_show(shipped: Engine) -> None:
    drawn = [scene for objects in (1, 2, 3) for scene in scenes(objects, 20)]

    with torch.inference_mode():
        seen = things(shipped.family.encode(render(drawn, 256)[0]), 57)

    away = (seen - things(codes(drawn), 57)).abs().amax(dim=1)
    assert (away < 1).float().mean() >= 0.8


def test_the_shipped_model_draws_what_it_is_told(shipped: Engine) -> None:
    card = shipped.family.card
    right = []
    for seed, scene in enumerate(scenes(1, 10) + scenes(2, 10)):
        job = Job("create", plain_caption(scene), "", None, None, 1, card.size, card.steps, seed=seed)
        right.append(says(scene, read(shipped.render(job, UNWATCHED)[0]))["all"])
    assert np.mean(right) >= 0.8
