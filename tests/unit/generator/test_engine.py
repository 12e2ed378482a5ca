from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from diffusers import EulerAncestralDiscreteScheduler

from services.generator.checkpoint import Checkpoint
from services.generator.engine import UNWATCHED, Engine, Watch
from services.generator.families import build_family
from services.generator.job import Job
from services.generator.ticket import Cancelled
from tests.unit.generator.gated import farthest, latents

CREATE = Job("create", "a red circle", "", None, None, count=2, size=64, steps=4, seed=7)


def upload(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (height, width, 3), dtype=np.uint8)


def edit(height: int, width: int, box: tuple[slice, slice]) -> Job:
    mask = np.zeros((height, width), dtype=bool)
    mask[box] = True
    return replace(CREATE, operation="edit", image=upload(height, width), mask=mask)


def test_pictures_have_the_size_asked_for(engine: Engine) -> None:
    pictures = engine.render(CREATE, UNWATCHED)
    assert [picture.shape for picture in pictures] == [(64, 64, 3)] * 2


def test_same_job_same_pixels(engine: Engine) -> None:
    assert np.array_equal(engine.render(CREATE, UNWATCHED), engine.render(CREATE, UNWATCHED))


def test_picture_i_is_that_of_seed_plus_i(engine: Engine) -> None:
    second = engine.render(CREATE, UNWATCHED)[1]
    alone = engine.render(replace(CREATE, count=1, seed=8), UNWATCHED)[0]
    # The shape of a batch changes the order of floating-point sums: one grey level at most.
    assert np.abs(second.astype(int) - alone.astype(int)).max() <= 1


def test_other_words_make_another_picture(engine: Engine) -> None:
    other = replace(CREATE, words="a blue star on a yellow background")
    assert not np.array_equal(engine.render(CREATE, UNWATCHED), engine.render(other, UNWATCHED))


def test_a_negative_prompt_steers_away(engine: Engine) -> None:
    steered = replace(CREATE, unwanted="a blue star")
    assert not np.array_equal(engine.render(CREATE, UNWATCHED), engine.render(steered, UNWATCHED))


def test_every_step_is_told(engine: Engine) -> None:
    told: list[tuple[int, int]] = []
    engine.render(CREATE, Watch(lambda done, steps: told.append((done, steps)), lambda: False))
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


@pytest.mark.parametrize("after", [0, 1, 3, 4])
def test_a_cancel_takes_effect_before_the_next_step(engine: Engine, after: int) -> None:
    told: list[int] = []
    watch = Watch(lambda done, _steps: told.append(done), lambda: len(told) >= after)
    with pytest.raises(Cancelled):
        engine.render(CREATE, watch)
    assert len(told) == after


@pytest.mark.parametrize(
    ("height", "width", "box"),
    [
        (64, 64, (slice(8, 40), slice(20, 50))),
        (33, 90, (slice(0, 33), slice(70, 90))),
        (120, 40, (slice(5, 100), slice(3, 9))),
        (50, 50, (slice(49, 50), slice(0, 1))),
    ],
)
def test_an_edit_keeps_what_the_mask_does_not_mark_bit_exact(
    engine: Engine, height: int, width: int, box: tuple[slice, slice]
) -> None:
    job = edit(height, width, box)
    assert job.image is not None
    assert job.mask is not None
    for picture in engine.render(job, UNWATCHED):
        assert picture.shape == job.image.shape
        assert np.array_equal(picture[~job.mask], job.image[~job.mask])


def test_an_edit_changes_what_the_mask_marks(engine: Engine) -> None:
    job = edit(64, 64, (slice(8, 40), slice(20, 50)))
    assert job.image is not None
    assert job.mask is not None
    picture = engine.render(job, UNWATCHED)[0]
    assert not np.array_equal(picture[job.mask], job.image[job.mask])


def test_a_variation_takes_its_share_of_the_steps_and_new_pixels(engine: Engine) -> None:
    told: list[int] = []
    job = replace(CREATE, operation="variation", words="", image=upload(80, 50))
    pictures = engine.render(job, Watch(lambda _done, steps: told.append(steps), lambda: False))
    assert told == [2, 2]
    assert pictures[0].shape == (64, 64, 3)
    assert not np.array_equal(pictures[0], pictures[1])


def test_a_latent_model_runs_through_the_same_loop(tiny_latent: Checkpoint) -> None:
    job = replace(edit(64, 64, (slice(8, 40), slice(20, 50))), count=1)
    assert job.image is not None
    assert job.mask is not None
    picture = Engine(build_family(tiny_latent)).render(job, UNWATCHED)[0]
    assert np.array_equal(picture[~job.mask], job.image[~job.mask])


@pytest.mark.parametrize("operation", ["create", "edit", "variation"])
def test_a_picture_is_the_same_whatever_shares_its_passes(engine: Engine, operation: str) -> None:
    jobs = {
        "create": replace(CREATE, count=1),
        "edit": replace(edit(64, 64, (slice(8, 40), slice(20, 50))), count=1),
        "variation": replace(CREATE, operation="variation", words="", image=upload(80, 50), count=1),
    }
    company = [replace(CREATE, words="a blue star", steps=steps, seed=steps) for steps in (2, 3, 9)]
    alone, together = latents(engine, jobs[operation], ()), latents(engine, jobs[operation], company)
    assert farthest(alone, together) <= 1e-5


def test_two_cores_make_of_a_pass_what_one_makes(engine: Engine) -> None:
    pictures = [engine.begin(replace(CREATE, count=1, seed=seed))[0] for seed in range(5)]
    rows = [row for picture in pictures for row in picture.rows()]
    assert len(rows) >= 4
    assert torch.get_num_threads() == 1

    shared = engine.look(rows)

    alone = torch.cat([engine.look([row]) for row in rows])
    assert torch.allclose(shared, alone, atol=1e-5)


def test_a_stochastic_scheduler_draws_from_the_pictures_own_seed(tiny: Checkpoint) -> None:
    ancestral = Engine(
        build_family(replace(tiny, parts={**tiny.parts, "scheduler": EulerAncestralDiscreteScheduler()}))
    )
    company = [replace(CREATE, seed=seed, steps=3 + seed) for seed in range(3)]
    alone, together = latents(ancestral, CREATE, ()), latents(ancestral, CREATE, company)
    assert farthest(alone, together) <= 1e-5 * float(alone[0].abs().max())


def test_guidance_of_a_request_goes_before_the_models(engine: Engine) -> None:
    plain, guided = (latents(engine, replace(CREATE, guidance=scale), ()) for scale in (1.0, 5.0))
    assert farthest(plain, guided) > 0.01
    assert farthest(latents(engine, CREATE, ()), latents(engine, replace(CREATE, guidance=2.0), ())) == 0
