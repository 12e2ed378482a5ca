"""A model that reads words and a picture's embedding, and paints what its latents say; random weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from services.core.errors import ConfigurationError
from services.core.signals import ModelVersion
from services.generator.checkpoint import Checkpoint, folder_digest, load_checkpoint
from services.generator.engine import UNWATCHED, Engine
from services.generator.families import build_family
from services.generator.job import Job
from services.generator.kandinsky import Kandinsky
from services.generator.scene_autoencoder import SceneAutoencoder
from services.generator.scene_latents import LATENTS
from tests.unit.generator.tiny_models import card
from training.generator import components

CREATE = Job("create", "a red fish", "", None, None, count=1, size=256, steps=2, seed=7)
VARIATION = replace(CREATE, operation="variation", words="", image=np.zeros((80, 64, 3), np.uint8))
CARD = card(size=256, variation_strength=1.0, closed_vocabulary=True)


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    torch.manual_seed(0)
    tokenizer = components.build_tokenizer()
    parts = {
        "tokenizer": tokenizer,
        "text_encoder": components.build_text_encoder(tokenizer),
        "unet": components.build_unet(),
        "vae": SceneAutoencoder(),
        "scheduler": components.build_scheduler(),
    }
    for part in parts.values():
        if isinstance(part, torch.nn.Module):
            part.half().float().eval()  # as they are saved
    return Checkpoint(CARD, ModelVersion("tiny", "1", ""), torch.device("cpu"), parts, {})


@pytest.fixture(scope="module")
def engine(checkpoint: Checkpoint) -> Engine:
    return Engine(build_family(checkpoint))


def test_it_is_told_by_its_unet(engine: Engine) -> None:
    assert isinstance(engine.family, Kandinsky)


def test_pictures_are_painted_at_full_size(engine: Engine) -> None:
    (picture,) = engine.render(CREATE, UNWATCHED)

    assert picture.shape == (256, 256, 3)
    assert engine.family.latent_shape(256) == (LATENTS, 8, 8)


def test_a_variation_is_made_from_what_the_picture_shows(engine: Engine) -> None:
    white = replace(VARIATION, image=np.full((80, 64, 3), 255, np.uint8))

    first, second = (engine.render(job, UNWATCHED)[0] for job in (VARIATION, white))

    assert not np.array_equal(first, second)


def test_a_variation_is_guided_towards_its_picture_unless_the_scale_is_one(engine: Engine) -> None:
    assert engine.family.guided(VARIATION)
    assert not engine.family.guided(replace(VARIATION, guidance=1.0))


def test_what_was_saved_opens_as_it_was(checkpoint: Checkpoint, engine: Engine, tmp_path: Path) -> None:
    components.save(tmp_path, **checkpoint.parts)
    (tmp_path / "portcullis.json").write_text(CARD.model_dump_json())

    opened = load_checkpoint(str(tmp_path), folder_digest(tmp_path), torch.device("cpu"))

    again = Engine(build_family(opened)).render(CREATE, UNWATCHED)
    assert np.array_equal(again[0], engine.render(CREATE, UNWATCHED)[0])


def test_with_an_autoencoder_that_tells_nothing_it_does_not_start(checkpoint: Checkpoint) -> None:
    from diffusers import AutoencoderKL

    parts = {**checkpoint.parts, "vae": AutoencoderKL(block_out_channels=(32,), sample_size=8)}

    with pytest.raises(ConfigurationError, match="SceneAutoencoder"):
        build_family(replace(checkpoint, parts=parts))
