"""The half of a model that sees: models/scenes-clip as it lies, and as ONNX in int8."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from services.core.artifacts import MODELS, file_sha256
from services.core.errors import ConfigurationError
from services.core.image_encoder import ImageEncoder, load_image_encoder
from training.combo.export import export

FOLDER = MODELS / "scenes-clip"
CONFIG = "models/scenes-clip/open_clip_config.json"
PICTURE = np.random.default_rng(1).integers(0, 256, (96, 64, 3), np.uint8)


@pytest.fixture(scope="module")
def whole() -> ImageEncoder:
    return load_image_encoder("models/scenes-clip/open_clip_model.safetensors", "", CONFIG, "", "encoder")


def test_a_picture_is_a_unit_vector_and_always_the_same(whole: ImageEncoder) -> None:
    first, second = whole.look(PICTURE), whole.look(PICTURE)

    assert (first.shape, first.dtype) == ((192,), np.float32)
    assert np.linalg.norm(first) == pytest.approx(1.0, abs=1e-5)
    assert np.array_equal(first, second)


def test_half_a_model_in_onnx_sees_the_same_and_is_another_model(whole: ImageEncoder, tmp_path: Path) -> None:
    image, _ = export(FOLDER / "open_clip_model.safetensors", FOLDER / "open_clip_config.json", tmp_path)

    small = load_image_encoder(str(image), file_sha256(image), CONFIG, "", "encoder")

    assert float(small.look(PICTURE) @ whole.look(PICTURE)) > 0.98
    assert small.digest != whole.digest


def test_another_configuration_makes_another_model(whole: ImageEncoder, tmp_path: Path) -> None:
    config = tmp_path / "open_clip_config.json"
    text = (FOLDER / "open_clip_config.json").read_text(encoding="utf-8")
    config.write_text(text.replace('"squash"', '"shortest"'), encoding="utf-8")

    other = load_image_encoder(
        "models/scenes-clip/open_clip_model.safetensors", "", str(config), file_sha256(config), "encoder"
    )

    assert other.digest != whole.digest


def test_a_file_of_another_digest_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="its sha256 is"):
        load_image_encoder("models/scenes-clip/open_clip_model.safetensors", "00" * 32, CONFIG, "", "encoder")
