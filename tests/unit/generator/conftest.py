from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from services.generator.checkpoint import Card, Checkpoint, folder_digest, load_checkpoint
from services.generator.engine import Engine
from services.generator.families import build_family
from training.generator import components

CPU = torch.device("cpu")
torch.set_num_threads(1)


def write_tiny_model(folder: Path, *, latent: bool = False) -> None:
    """A randomly initialised model of the shipped one's classes; with `latent` one of Stable Diffusion's."""
    from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    torch.manual_seed(0)
    tokenizer = components.build_tokenizer()
    text_encoder = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=1,
            num_attention_heads=2,
            max_position_embeddings=components.MAX_TOKENS,
        )
    )
    channels = 4 if latent else 48
    unet = UNet2DConditionModel(
        sample_size=4,
        in_channels=channels,
        out_channels=channels,
        block_out_channels=(16, 16),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=16,
        attention_head_dim=2,
        norm_num_groups=4,
    )
    scheduler = DDIMScheduler(prediction_type="epsilon") if latent else components.build_scheduler()
    card = Card(
        name="tiny",
        version="1",
        capability="test",
        size=64,
        steps=4,
        guidance=2.0,
        variation_strength=0.5,
        closed_vocabulary=True,
    )
    parts = {"tokenizer": tokenizer, "text_encoder": text_encoder, "unet": unet, "scheduler": scheduler}
    if latent:
        parts["vae"] = AutoencoderKL(
            block_out_channels=(8, 8),
            down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2,
            norm_num_groups=4,
        )
    components.save(folder, **parts)
    (folder / "portcullis.json").write_text(card.model_dump_json())


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    write_tiny_model(folder)
    return folder


@pytest.fixture
def own_folder(tiny_folder: Path, tmp_path: Path) -> Path:
    """A copy that the test may spoil."""
    shutil.copytree(tiny_folder, tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture(scope="session")
def tiny(tiny_folder: Path) -> Checkpoint:
    return load_checkpoint(str(tiny_folder), folder_digest(tiny_folder), CPU)


@pytest.fixture(scope="session")
def engine(tiny: Checkpoint) -> Engine:
    return Engine(build_family(tiny))


@pytest.fixture(scope="session")
def tiny_latent(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    folder = tmp_path_factory.mktemp("latent")
    write_tiny_model(folder, latent=True)
    return load_checkpoint(str(folder), folder_digest(folder), CPU)
