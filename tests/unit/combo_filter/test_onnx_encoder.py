"""An open_clip model as ONNX in int8 sees what the model itself sees."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from services.combo_filter.encoder import OpenClipEncoder, load_encoder
from services.combo_filter.settings import ComboFilterSettings
from services.core.artifacts import MODELS, file_sha256
from services.core.errors import ConfigurationError
from training.combo.export import export

FOLDER = MODELS / "scenes-clip"
WORDS = {"joint_encoder_config": "models/scenes-clip/open_clip_config.json"}
WORDS["joint_encoder_tokenizer"] = "models/scenes-clip/tokenizer.json"


@pytest.fixture(scope="module")
def towers(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    config = FOLDER / "open_clip_config.json"
    return export(FOLDER / "open_clip_model.safetensors", config, tmp_path_factory.mktemp("onnx"))


def load(**files: Path) -> OpenClipEncoder:
    named = {name: str(path) for name, path in files.items()}
    digests = {f"{name}_sha256": file_sha256(path) for name, path in files.items()}
    encoder = load_encoder(ComboFilterSettings.model_validate({**WORDS, **named, **digests}))
    assert encoder is not None
    return encoder


def test_it_scores_as_the_model_itself_does(towers: tuple[Path, Path]) -> None:
    small = load(joint_encoder=towers[0], joint_encoder_text=towers[1])
    whole = load(joint_encoder=FOLDER / "open_clip_model.safetensors")
    pictures = [np.random.default_rng(seed).integers(0, 256, (64, 80, 3), np.uint8) for seed in range(8)]

    scores = [[[signal.score for signal in encoder.measure(one)] for one in pictures] for encoder in (small, whole)]

    assert np.abs(np.array(scores[0]) - np.array(scores[1])).mean() < 0.05


def test_a_file_without_its_scale_is_refused(towers: tuple[Path, Path], tmp_path: Path) -> None:
    bare = onnx.load(str(towers[0]))
    del bare.metadata_props[:]
    onnx.save(bare, str(tmp_path / "bare.onnx"))

    with pytest.raises(ConfigurationError, match=r"bare\.onnx: has no logit_scale"):
        load(joint_encoder=tmp_path / "bare.onnx", joint_encoder_text=towers[1])


def test_a_file_that_is_no_model_is_refused(towers: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "image.onnx").write_text("no model")

    with pytest.raises(ConfigurationError, match=r"image\.onnx is no ONNX model"):
        load(joint_encoder=tmp_path / "image.onnx", joint_encoder_text=towers[1])
