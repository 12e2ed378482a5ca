from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from services.core.errors import ConfigurationError
from services.generator.checkpoint import Checkpoint, folder_digest, load_checkpoint
from tests.unit.generator import tiny_models

CPU = torch.device("cpu")


def test_the_version_carries_the_digest_of_all_files(tiny: Checkpoint, tiny_folder: Path) -> None:
    assert tiny.version.digest == folder_digest(tiny_folder)


def test_words_are_those_of_the_tokenizer_without_special_tokens(tiny: Checkpoint) -> None:
    assert "red" in tiny.words()
    assert "<pad>" not in tiny.words()


def test_wrong_digest_is_refused(tiny_folder: Path) -> None:
    with pytest.raises(ConfigurationError, match="digest"):
        load_checkpoint(str(tiny_folder), "0" * 64, CPU)


def test_a_changed_weight_is_refused(own_folder: Path) -> None:
    digest = folder_digest(own_folder)
    weights = own_folder / "unet" / "diffusion_pytorch_model.safetensors"
    *whole, last = weights.read_bytes()
    weights.write_bytes(bytes([*whole, last ^ 1]))
    with pytest.raises(ConfigurationError) as refusal:
        load_checkpoint(str(own_folder), digest, CPU)
    assert refusal.value.reason == "MODEL_DIGEST_MISMATCH"


@pytest.mark.parametrize("name", ["diffusion_pytorch_model.bin", "model.ckpt", "model.pt", "weights.pkl", "code.py"])
def test_what_may_run_code_is_refused(own_folder: Path, name: str) -> None:
    (own_folder / "unet" / name).write_bytes(b"\x80\x04.")
    with pytest.raises(ConfigurationError) as refusal:
        load_checkpoint(str(own_folder), folder_digest(own_folder), CPU)
    assert refusal.value.reason == "MODEL_FILE_NOT_ALLOWED"


def test_without_safetensors_nothing_is_loaded(own_folder: Path) -> None:
    (own_folder / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(ConfigurationError, match="unet could not be loaded"):
        load_checkpoint(str(own_folder), folder_digest(own_folder), CPU)


def test_a_class_that_is_not_on_the_list_is_refused(own_folder: Path) -> None:
    index = json.loads((own_folder / "model_index.json").read_text())
    index["unet"] = ["some_module", "UNet2DConditionModel"]
    (own_folder / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(ConfigurationError, match="this engine runs"):
        load_checkpoint(str(own_folder), folder_digest(own_folder), CPU)


def test_a_missing_component_is_named(own_folder: Path) -> None:
    index = json.loads((own_folder / "model_index.json").read_text())
    del index["scheduler"]
    (own_folder / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(ConfigurationError, match="lacks scheduler"):
        load_checkpoint(str(own_folder), folder_digest(own_folder), CPU)


def test_a_folder_that_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"model_index\.json"):
        load_checkpoint(str(tmp_path), "", CPU)


def test_weights_in_several_files_with_an_index_are_loaded(tmp_path: Path) -> None:
    tiny_models.stable_diffusion(tmp_path)
    whole = tiny_models.load(tmp_path).parts["unet"]
    (tmp_path / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    whole.save_pretrained(tmp_path / "unet", max_shard_size="50KB")
    assert len(list((tmp_path / "unet").glob("*.safetensors"))) > 1
    assert same_weights(tiny_models.load(tmp_path).parts["unet"], whole)


def test_the_variant_that_the_card_names_is_loaded(tmp_path: Path) -> None:
    tiny_models.stable_diffusion(tmp_path)
    parts = tiny_models.load(tmp_path).parts
    for name in ("unet", "vae", "text_encoder"):
        for plain in (tmp_path / name).glob("*.safetensors"):
            plain.unlink()
        parts[name].save_pretrained(tmp_path / name, variant="fp16")
    (tmp_path / "portcullis.json").write_text(tiny_models.card(variant="fp16").model_dump_json())
    assert same_weights(tiny_models.load(tmp_path).parts["unet"], parts["unet"])


def test_weights_take_the_type_that_is_asked_for(tmp_path: Path) -> None:
    tiny_models.stable_diffusion(tmp_path)
    parts = tiny_models.load(tmp_path, torch.bfloat16).parts
    assert {parts[name].dtype for name in ("unet", "text_encoder")} == {torch.bfloat16}


def test_a_card_that_is_missing_is_named(own_folder: Path) -> None:
    (own_folder / "portcullis.json").unlink()
    with pytest.raises(ConfigurationError, match=r"portcullis\.json is missing"):
        tiny_models.load(own_folder)


@pytest.mark.skipif(find_spec("sentencepiece") is not None, reason="the package is installed")
def test_a_tokenizer_that_needs_a_package_names_it(tmp_path: Path) -> None:
    tiny_models.pixart(tmp_path)
    (tmp_path / "tokenizer" / "tokenizer.json").rename(tmp_path / "tokenizer" / "spiece.model")
    with pytest.raises(ConfigurationError, match="install the package sentencepiece"):
        tiny_models.load(tmp_path)


def same_weights(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    return all(torch.equal(value, other.state_dict()[name]) for name, value in one.state_dict().items())
