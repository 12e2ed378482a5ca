"""The open_clip path, on a tiny checkpoint with random weights that the test itself makes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from services.combo_filter.encoder import load_encoder
from services.combo_filter.pipeline import ComboPipeline
from services.combo_filter.settings import ComboFilterSettings
from services.core.artifacts import file_sha256
from services.core.errors import ConfigurationError
from services.core.imaging import encode
from services.core.open_clip_model import open_clip_tokenizer
from services.core.policy.concepts import CONCEPTS
from services.core.torch_compat import guard_torchvision

CONFIG = {
    "model_cfg": {
        "embed_dim": 16,
        "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
    },
    "preprocess_cfg": {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]},
}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    guard_torchvision()
    import open_clip
    import torch
    from safetensors.torch import save_file

    folder = tmp_path_factory.mktemp("tiny-clip")
    (folder / "open_clip_config.json").write_text(json.dumps(CONFIG))
    torch.manual_seed(7)
    network = open_clip.create_model(f"local-dir:{folder}", load_weights=False)
    save_file(network.state_dict(), folder / "weights.safetensors")
    return folder


def settings(folder: Path, **changes: str) -> ComboFilterSettings:
    values = {
        "joint_encoder": str(folder / "weights.safetensors"),
        "joint_encoder_sha256": file_sha256(folder / "weights.safetensors"),
        "joint_encoder_config": str(folder / "open_clip_config.json"),
        "joint_encoder_config_sha256": file_sha256(folder / "open_clip_config.json"),
    }
    return ComboFilterSettings.model_validate({**values, **changes})


def picture(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (48, 64, 3), np.uint8)


def test_an_encoder_scores_every_concept_of_its_bank_and_sees_the_picture(checkpoint: Path) -> None:
    encoder = load_encoder(settings(checkpoint))
    assert encoder is not None
    first, again, other = (encoder.measure(picture(seed)) for seed in (1, 1, 2))
    assert {signal.category for signal in first} <= set(CONCEPTS)
    assert all(0 <= signal.score <= 1 for signal in first)
    assert first == again
    assert first != other


def test_the_encoder_is_named_by_its_digest(checkpoint: Path) -> None:
    encoder = load_encoder(settings(checkpoint))
    assert encoder is not None
    assert (encoder.model.name, encoder.model.digest) == ("open-clip", file_sha256(checkpoint / "weights.safetensors"))


def test_with_an_encoder_the_pipeline_sees(checkpoint: Path) -> None:
    pipeline = ComboPipeline.load(settings(checkpoint))
    measurement = pipeline.measure("variation", "", "", encode(picture(3)), None, (), ())
    assert measurement.capabilities == ()
    assert "concept.bathroom" in measurement.scores()
    assert [model.name for model in measurement.models] == ["pair-words", "edit-intent", "open-clip"]


def test_the_model_of_the_house_opens_by_its_uri() -> None:
    uris = {
        "joint_encoder": "models/scenes-clip/open_clip_model.safetensors",
        "joint_encoder_config": "models/scenes-clip/open_clip_config.json",
        "joint_encoder_tokenizer": "models/scenes-clip/tokenizer.json",
    }
    encoder = load_encoder(ComboFilterSettings.model_validate(uris))
    assert encoder is not None
    assert {signal.category for signal in encoder.measure(picture(1))} <= set(CONCEPTS)


def test_no_encoder_is_loaded_where_none_is_configured() -> None:
    assert load_encoder(ComboFilterSettings()) is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"joint_encoder_sha256": "0" * 64}, "expected 0000"),
        ({"joint_encoder_config": "", "joint_encoder_config_sha256": ""}, "sha256 must be 64 hex digits"),
    ],
)
def test_a_wrong_setting_says_what_to_mend(checkpoint: Path, changes: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        load_encoder(settings(checkpoint, **changes))


@pytest.mark.parametrize("config", ["{}", "not json", json.dumps({"model_cfg": {"text_cfg": {}}})])
def test_a_checkpoint_whose_config_does_not_fit_is_refused(checkpoint: Path, tmp_path: Path, config: str) -> None:
    path = tmp_path / "open_clip_config.json"
    path.write_text(config)
    with pytest.raises(ConfigurationError, match="cannot be loaded"):
        load_encoder(
            settings(checkpoint, joint_encoder_config=str(path), joint_encoder_config_sha256=file_sha256(path))
        )


@pytest.fixture
def worded(checkpoint: Path, tmp_path: Path) -> ComboFilterSettings:
    """The checkpoint, its configuration naming another tokenizer: one token a word."""
    text = {**CONFIG["model_cfg"]["text_cfg"], "hf_tokenizer_name": "words", "context_length": 77}
    config = tmp_path / "open_clip_config.json"
    config.write_text(json.dumps({**CONFIG, "model_cfg": {**CONFIG["model_cfg"], "text_cfg": text}}))
    words = Tokenizer(models.WordLevel({"<unknown>": 0, "a": 1, "photo": 2}, unk_token="<unknown>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.save(str(tmp_path / "tokenizer.json"))
    return settings(
        checkpoint,
        joint_encoder_config=str(config),
        joint_encoder_config_sha256=file_sha256(config),
        joint_encoder_tokenizer=str(tmp_path / "tokenizer.json"),
        joint_encoder_tokenizer_sha256=file_sha256(tmp_path / "tokenizer.json"),
    )


def test_a_model_reads_with_the_tokenizer_that_goes_with_it(checkpoint: Path, worded: ComboFilterSettings) -> None:
    encoder, own = load_encoder(worded), load_encoder(settings(checkpoint))
    assert encoder is not None
    assert own is not None
    assert encoder.measure(picture(1)) != own.measure(picture(1))


def test_sentences_are_cut_and_padded_to_what_the_model_reads(tmp_path: Path, worded: ComboFilterSettings) -> None:
    config, tokenizer = (Path(uri) for uri in (worded.joint_encoder_config, worded.joint_encoder_tokenizer))
    ids = open_clip_tokenizer(config, tokenizer, "joint encoder")(["a photo", "photo " * 100])
    assert ids.tolist() == [[1, 2] + [0] * 75, [2] * 77]


def test_another_tokenizer_than_the_configuration_wants_is_refused(worded: ComboFilterSettings) -> None:
    bare = worded.model_copy(update={"joint_encoder_tokenizer": "", "joint_encoder_tokenizer_sha256": ""})
    with pytest.raises(ConfigurationError, match=r"wants its own tokenizer\.json"):
        load_encoder(bare)


def test_a_tokenizer_that_the_configuration_does_not_want_is_refused(
    checkpoint: Path, worded: ComboFilterSettings
) -> None:
    own = settings(checkpoint)
    config = {"joint_encoder_config": own.joint_encoder_config}
    digest = {"joint_encoder_config_sha256": own.joint_encoder_config_sha256}
    with pytest.raises(ConfigurationError, match="CLIP's own tokenizer and no other"):
        load_encoder(worded.model_copy(update={**config, **digest}))


def test_a_tokenizer_whose_digest_is_another_is_refused(worded: ComboFilterSettings) -> None:
    Path(worded.joint_encoder_tokenizer).write_text("{}")
    with pytest.raises(ConfigurationError, match="sha256 is"):
        load_encoder(worded)


def test_a_checkpoint_that_could_run_code_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    path = tmp_path / "weights.bin"
    path.write_bytes(b"\x80\x04.")
    with pytest.raises(ConfigurationError, match=r"only \.safetensors"):
        load_encoder(settings(checkpoint, joint_encoder=str(path), joint_encoder_sha256=file_sha256(path)))
