"""Each family draws what diffusers' own pipeline draws of the same checkpoint, and the same in any company."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch

from services.core.errors import ConfigurationError, InvalidInput
from services.generator.checkpoint import Checkpoint
from services.generator.engine import UNWATCHED, Engine
from services.generator.families import build_family
from services.generator.job import Job
from tests.unit.generator import tiny_models
from tests.unit.generator.plain_loop import JOB, draw, noise

torch.set_num_threads(1)

MODELS: dict[str, Callable[[Path], None]] = {
    "stable_diffusion": tiny_models.stable_diffusion,
    "inpainting": lambda folder: tiny_models.stable_diffusion(folder, unet_channels=9),
    "stable_diffusion_xl": tiny_models.stable_diffusion_xl,
    "pixart_sigma": tiny_models.pixart,
    "pixart_alpha": lambda folder: tiny_models.pixart(folder, told_resolution=True),
    "flux_dev": lambda folder: tiny_models.flux(folder, reads_guidance=True),
    "flux_schnell": lambda folder: tiny_models.flux(folder, reads_guidance=False),
}
TEXT_TO_IMAGE = [name for name in MODELS if name != "inpainting"]
GUIDED_AWAY = [name for name in TEXT_TO_IMAGE if "flux" not in name]
# What pipelines must be told to do no more than their paper says.
PLAINLY: dict[str, dict[str, Any]] = {
    "pixart_sigma": {"clean_caption": False, "use_resolution_binning": False},
    "pixart_alpha": {"clean_caption": False, "use_resolution_binning": False},
    "flux_schnell": {"max_sequence_length": 256},
}
# Tokens that a model reads, where it is not as many as CLIP's.
LIMITS = {"pixart_alpha": 120, "pixart_sigma": 300, "flux_dev": 512, "flux_schnell": 256}
SCHEDULERS = [
    "DDIMScheduler",
    "DPMSolverMultistepScheduler",
    "EulerAncestralDiscreteScheduler",
    "EulerDiscreteScheduler",
    "LCMScheduler",
    "PNDMScheduler",
]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of each model, written when it is first asked for."""

    @functools.cache
    def folder(name: str) -> Path:
        made = tmp_path_factory.mktemp(name)
        MODELS[name](made)
        return made

    return folder


@pytest.fixture(scope="module")
def checkpoints(folders: Callable[[str], Path]) -> Callable[[str], Checkpoint]:
    return functools.cache(lambda name: tiny_models.load(folders(name)))


def pipeline(folder: Path) -> Any:
    """Diffusers' own of this checkpoint."""
    made = diffusers.DiffusionPipeline.from_pretrained(folder, local_files_only=True)
    made.set_progress_bar_config(disable=True)
    return made


def picture_by(pipe: Any, job: Job, start: torch.Tensor, **more: Any) -> torch.Tensor:
    """The picture that the pipeline draws of that noise."""
    if isinstance(pipe, diffusers.FluxPipeline):
        start = pipe._pack_latents(start, *start.shape)
    elif not isinstance(pipe, diffusers.StableDiffusionXLPipeline):
        more["negative_prompt"] = job.unwanted
    elif job.unwanted:
        more["negative_prompt"] = job.unwanted  # to SDXL's none is another than an empty one
    made: torch.Tensor = pipe(
        job.words,
        height=job.size,
        width=job.size,
        num_inference_steps=job.steps,
        guidance_scale=job.guidance,
        generator=torch.Generator().manual_seed(job.seed),
        latents=start,
        output_type="pt",
        **more,
    ).images
    return made


def assert_same_picture(ours: torch.Tensor, theirs: torch.Tensor, within: float) -> None:
    assert theirs.std() > 0.01  # something to compare
    assert torch.allclose(ours, theirs, atol=within, rtol=0)


@pytest.mark.parametrize("guidance", [1.0, 3.0])
@pytest.mark.parametrize("name", TEXT_TO_IMAGE)
def test_a_picture_is_that_of_diffusers_own_pipeline(
    folders: Callable[[str], Path], checkpoints: Callable[[str], Checkpoint], name: str, guidance: float
) -> None:
    family = build_family(checkpoints(name))
    job = replace(JOB, size=family.card.size, guidance=guidance)
    start = noise(family, job)
    theirs = picture_by(pipeline(folders(name)), job, start, **PLAINLY.get(name, {}))
    assert_same_picture(draw(family, job, start), theirs, 1e-4)


@pytest.mark.parametrize("name", GUIDED_AWAY)
def test_a_negative_prompt_is_that_of_diffusers_own_pipeline(
    folders: Callable[[str], Path], checkpoints: Callable[[str], Checkpoint], name: str
) -> None:
    family = build_family(checkpoints(name))
    job = replace(JOB, size=family.card.size, unwanted="fog", guidance=5.0)
    start = noise(family, job)
    theirs = picture_by(pipeline(folders(name)), job, start, **PLAINLY.get(name, {}))
    assert_same_picture(draw(family, job, start), theirs, 1e-4)


@pytest.mark.parametrize(("name", "guidance"), [("flux_dev", 3.5), ("stable_diffusion", 1.0)])
def test_a_negative_prompt_that_nothing_would_come_of_is_refused(
    checkpoints: Callable[[str], Checkpoint], name: str, guidance: float
) -> None:
    with pytest.raises(InvalidInput, match="negative_prompt"):
        build_family(checkpoints(name)).check(replace(JOB, unwanted="fog", guidance=guidance))


@pytest.mark.parametrize("name", SCHEDULERS)
def test_every_scheduler_of_the_list_steps_as_in_diffusers_own_pipeline(
    folders: Callable[[str], Path], checkpoints: Callable[[str], Checkpoint], name: str
) -> None:
    checkpoint, pipe = checkpoints("stable_diffusion"), pipeline(folders("stable_diffusion"))
    pipe.scheduler = getattr(diffusers, name).from_config(checkpoint.parts["scheduler"].config)
    family = build_family(replace(checkpoint, parts={**checkpoint.parts, "scheduler": pipe.scheduler}))
    job = replace(JOB, guidance=3.0)
    start = noise(family, job)
    assert_same_picture(draw(family, job, start), picture_by(pipe, job, start), 1e-4)


def test_inpainting_is_that_of_diffusers_own_pipeline(
    folders: Callable[[str], Path], checkpoints: Callable[[str], Checkpoint]
) -> None:
    family = build_family(checkpoints("inpainting"))
    job = replace(JOB, guidance=3.0)
    upload = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(3))
    mask = torch.zeros(1, 1, 16, 16)
    mask[..., 4:12, 6:14] = 1
    start = noise(family, job)
    extra = family.surroundings(upload * 2 - 1, mask, job.size)
    assert extra is not None
    # The pipeline draws a sample of the VAE's distribution; the service takes its mean, the same each time.
    given = {"image": upload, "mask_image": mask, "masked_image_latents": extra[:, 1:]}
    theirs = picture_by(pipeline(folders("inpainting")), job, start, **given)
    assert_same_picture(draw(family, job, start, extra), theirs, 1e-4)


def test_an_inpainting_model_makes_new_pictures_too(checkpoints: Callable[[str], Checkpoint]) -> None:
    family = build_family(checkpoints("inpainting"))
    extra = family.surroundings(None, None, JOB.size)
    assert draw(family, JOB, noise(family, JOB), extra).shape == (1, 3, 16, 16)


@pytest.mark.parametrize("name", MODELS)
def test_a_batch_at_mixed_timesteps_equals_each_row_alone(checkpoints: Callable[[str], Checkpoint], name: str) -> None:
    family = build_family(checkpoints(name))
    jobs = [replace(JOB, words=words, size=family.card.size) for words in ("a red boat", "two fish", "the moon")]
    conditions = [family.condition(job).wanted for job in jobs]
    latents = torch.cat([noise(family, job, seed) for seed, job in enumerate(jobs)])
    times = torch.tensor([961, 520, 1])
    blank = family.surroundings(None, None, family.card.size)
    extra = None if blank is None else blank.expand(3, -1, -1, -1)
    together = family.predict(latents, times, conditions, extra)
    for row in range(3):
        alone = family.predict(latents[row : row + 1], times[row : row + 1], conditions[row : row + 1], blank)
        assert torch.allclose(together[row : row + 1], alone, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", MODELS)
def test_the_engine_edits_with_every_family_and_keeps_what_is_not_marked(
    checkpoints: Callable[[str], Checkpoint], name: str
) -> None:
    family = build_family(checkpoints(name))
    upload = np.random.default_rng(3).integers(0, 256, (40, 30, 3), dtype=np.uint8)
    mask = np.zeros((40, 30), dtype=bool)
    mask[5:20, 8:25] = True
    job = replace(JOB, operation="edit", image=upload, mask=mask, size=family.card.size)
    picture = Engine(family).render(job, UNWATCHED)[0]
    assert np.array_equal(picture[~mask], upload[~mask])
    assert not np.array_equal(picture[mask], upload[mask])


@pytest.mark.parametrize("name", MODELS)
def test_the_engine_varies_with_every_family(checkpoints: Callable[[str], Checkpoint], name: str) -> None:
    family = build_family(checkpoints(name))
    upload = np.random.default_rng(3).integers(0, 256, (40, 30, 3), dtype=np.uint8)
    job = replace(JOB, operation="variation", words="", image=upload, size=family.card.size, count=2)
    first, second = Engine(family).render(job, UNWATCHED)
    assert first.shape == (family.card.size, family.card.size, 3)
    assert not np.array_equal(first, second)


@pytest.mark.parametrize("name", SCHEDULERS)
def test_a_picture_is_the_same_in_company_whatever_the_scheduler(
    checkpoints: Callable[[str], Checkpoint], name: str
) -> None:
    checkpoint = checkpoints("stable_diffusion")
    scheduler = getattr(diffusers, name).from_config(checkpoint.parts["scheduler"].config)
    family = build_family(replace(checkpoint, parts={**checkpoint.parts, "scheduler": scheduler}))
    engine = Engine(family)
    (alone,) = engine.begin(replace(JOB, seed=8))
    company = engine.begin(replace(JOB, count=3, seed=7))
    while not alone.finished:
        engine.step([alone])
        engine.step(company)
    with torch.inference_mode():
        pictures = [family.decode(latents) for latents in (company[1].latents, alone.latents)]
    assert torch.allclose(*pictures, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", MODELS)
def test_words_beyond_the_limit_are_named(checkpoints: Callable[[str], Checkpoint], name: str) -> None:
    family = build_family(checkpoints(name))
    fits = "a" * (LIMITS.get(name, tiny_models.CLIP_LIMIT) - 4)
    cut = family.condition(replace(JOB, words=f"{fits} lighthouse at dusk")).cut
    assert cut == ("lighthouse", "at", "dusk")


def test_flux_carries_partly_noised_latents_like_any_other(checkpoints: Callable[[str], Checkpoint]) -> None:
    family = build_family(checkpoints("flux_dev"))
    scheduler, clean, grain = family.scheduler(4, 16), torch.zeros(1, 4, 8, 8), torch.ones(1, 4, 8, 8)
    shares = [float(scheduler.add_noise(clean, grain, time[None]).mean()) for time in scheduler.timesteps]
    assert shares == pytest.approx([float(time) / 1000 for time in scheduler.timesteps])


@pytest.mark.parametrize("name", ["stable_diffusion", "stable_diffusion_xl", "pixart_alpha", "flux_dev"])
def test_half_precision_stays_inside(folders: Callable[[str], Path], name: str) -> None:
    family = build_family(tiny_models.load(folders(name), torch.bfloat16))
    job = replace(JOB, size=family.card.size)
    start = noise(family, job)
    guess = family.predict(start, torch.tensor([500]), [family.condition(job).wanted], None)
    assert guess.dtype == torch.float32
    assert draw(family, job, start).dtype == torch.float32


def test_a_vae_that_overflows_in_half_precision_stays_in_single(folders: Callable[[str], Path]) -> None:
    parts = tiny_models.load(folders("stable_diffusion"), torch.bfloat16).parts
    assert (parts["unet"].dtype, parts["vae"].dtype) == (torch.bfloat16, torch.float32)


def test_a_smaller_size_is_drawn_at_it_and_a_larger_one_is_left_to_enlarge(
    checkpoints: Callable[[str], Checkpoint],
) -> None:
    family = build_family(checkpoints("stable_diffusion"))
    assert [family.side(size) for size in (8, 16, 64)] == [8, 16, 16]


@pytest.mark.parametrize(("name", "size"), [("stable_diffusion", 9), ("flux_dev", 18)])
def test_a_size_that_is_no_whole_number_of_patches_is_refused(
    checkpoints: Callable[[str], Checkpoint], name: str, size: int
) -> None:
    with pytest.raises(ConfigurationError, match="no multiple"):
        build_family(replace(checkpoints(name), card=tiny_models.card(sizes=(size,))))


def test_a_network_that_no_family_knows_is_refused(checkpoints: Callable[[str], Checkpoint]) -> None:
    parts = {name: part for name, part in checkpoints("stable_diffusion").parts.items() if name != "unet"}
    with pytest.raises(ConfigurationError, match="no network"):
        build_family(replace(checkpoints("stable_diffusion"), parts=parts))


def test_a_unet_of_other_channels_is_refused(tmp_path: Path) -> None:
    tiny_models.stable_diffusion(tmp_path, unet_channels=8)
    with pytest.raises(ConfigurationError, match="reads 8 channels"):
        build_family(tiny_models.load(tmp_path))


@pytest.mark.parametrize("name", ["stable_diffusion", "pixart_sigma", "flux_dev"])
def test_batches_filled_up_for_a_compiled_network_change_nothing(
    checkpoints: Callable[[str], Checkpoint], name: str
) -> None:
    plain = build_family(checkpoints(name))
    compiled = build_family(tiny_copy(checkpoints(name)), compiled=True)
    latents = torch.cat([noise(plain, JOB, seed) for seed in range(3)])
    times, rows = torch.tensor([961, 520, 1]), [plain.condition(JOB).wanted] * 3
    # Compiling itself takes minutes on a CPU; how batches are filled up for it shows without.
    with torch.inference_mode(), torch.compiler.set_stance("force_eager"):
        guess = compiled.predict(latents, times, rows, None)
    assert torch.allclose(guess, plain.predict(latents, times, rows, None), atol=1e-5, rtol=0)


def tiny_copy(checkpoint: Checkpoint) -> Checkpoint:
    """With a network of its own, for compiling changes it."""
    return replace(checkpoint, parts=copy.deepcopy(checkpoint.parts))
