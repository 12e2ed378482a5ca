"""Tiny checkpoints that look at pictures, made on the spot: real files in their real layouts, weights of no meaning.

Every classifier answers the more strongly for its last label the brighter the picture is.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper
from PIL import Image
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers

from services.core.torch_compat import guard_torchvision

guard_torchvision()
import open_clip  # noqa: E402 - after the guard
import timm  # noqa: E402
from transformers import (  # noqa: E402
    Gemma3ImageProcessor,
    PreTrainedTokenizerFast,
    ShieldGemma2Config,
    ShieldGemma2ForImageClassification,
    ShieldGemma2Processor,
    ViTConfig,
    ViTForImageClassification,
    ViTImageProcessor,
)

WORDS = ["<pad>", "<unk>", "<bos>", "<image>", "</image>", "<soft>", "Yes", "No", "sexual", ":", "?"]
CHAT = "{% for message in messages %}<bos><image> sexual ?{% endfor %}"


def vit(folder: Path, labels: list[str], independent: bool = False) -> Path:
    """A ViT of one layer in transformers' layout."""
    torch.manual_seed(1)
    config = ViTConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        image_size=32,
        patch_size=16,
        id2label=dict(enumerate(labels)),
        label2id={label: at for at, label in enumerate(labels)},
        problem_type="multi_label_classification" if independent else None,
    )
    network = ViTForImageClassification(config)
    with torch.no_grad():
        network.classifier.weight.zero_()
        network.classifier.bias.copy_(torch.arange(len(labels)).float())
    network.save_pretrained(folder)
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


def timm_vit(folder: Path, labels: list[str]) -> Path:
    """A ViT in timm's layout, as Marqo's is: config.json with its label names, model.safetensors."""
    torch.manual_seed(1)
    shape = {"embed_dim": 16, "depth": 1, "num_heads": 2, "img_size": 32}
    network = timm.create_model("vit_tiny_patch16_224", num_classes=len(labels), **shape)
    with torch.no_grad():
        network.head.weight.zero_()
        network.head.bias.copy_(torch.arange(len(labels)).float())
    save_file(network.state_dict(), folder / "model.safetensors", {"format": "pt"})
    config = {
        "architecture": "vit_tiny_patch16_224",
        "num_classes": len(labels),
        "label_names": labels,
        "model_args": shape,
        "pretrained_cfg": {"input_size": [3, 32, 32], "mean": [0.5] * 3, "std": [0.5] * 3, "crop_pct": 1.0},
    }
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


def brightness(path: Path, labels: int = 2, layout: str = "nchw") -> Path:
    """An ONNX network whose logits are 0 and the sum over the colours of the mean of what it is given."""
    shape = ["n", 3, "h", "w"] if layout == "nchw" else ["n", "h", "w", 3]
    weight = np.zeros((1, labels), np.float32)
    weight[0, -1] = 3
    axes = helper.make_tensor("axes", TensorProto.INT64, [3], [1, 2, 3])
    shape_1 = helper.make_tensor("flat", TensorProto.INT64, [2], [-1, 1])
    weights = helper.make_tensor("weight", TensorProto.FLOAT, weight.shape, weight.ravel())
    nodes = [
        helper.make_node("ReduceMean", ["picture", "axes"], ["mean"], keepdims=0),
        helper.make_node("Reshape", ["mean", "flat"], ["column"]),
        helper.make_node("MatMul", ["column", "weight"], ["scores"]),
    ]
    graph = helper.make_graph(
        nodes,
        "brightness",
        [helper.make_tensor_value_info("picture", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", labels])],
        [axes, shape_1, weights],
    )
    network = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(network)
    onnx.save(network, path)
    return path


def clip(folder: Path, width: int = 16) -> tuple[Path, Path]:
    """An open_clip checkpoint and its open_clip_config.json."""
    torch.manual_seed(1)
    size = {"width": 16, "layers": 1, "heads": 2}
    config = {
        "embed_dim": width,
        "vision_cfg": {"image_size": 32, "patch_size": 16, "head_width": 8, "width": 16, "layers": 1},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, **size},
    }
    network = open_clip.CLIP(**config)
    save_file(network.state_dict(), folder / "encoder.safetensors")
    preprocess = {"mean": [0.5] * 3, "std": [0.5] * 3}
    path = folder / "open_clip_config.json"
    path.write_text(json.dumps({"model_cfg": config, "preprocess_cfg": preprocess}), encoding="utf-8")
    return folder / "encoder.safetensors", path


class PublishedHead(torch.nn.Module):
    """The head's arithmetic as its authors state it, in torch: what ours is compared with."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.norm = torch.nn.Module()
        self.norm.register_buffer("mean", torch.randn(width))
        self.norm.register_buffer("variance", torch.rand(width) + 0.5)
        self.linear_1 = torch.nn.Linear(width, 8)
        self.linear_2 = torch.nn.Linear(8, 8)
        self.linear_3 = torch.nn.Linear(8, 1)

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        """Embeddings (n, width) → probabilities (n, 1)."""
        values = (vectors - self.norm.mean) / (self.norm.variance.sqrt() + 1e-10)
        values = self.linear_1(values).relu()
        return self.linear_3(self.linear_2(values).relu()).sigmoid()


def shield_gemma(folder: Path) -> Path:
    """ShieldGemma 2 of one layer, with its processor."""
    torch.manual_seed(1)
    text = {
        "model_type": "gemma3_text",
        "vocab_size": len(WORDS),
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 8,
        "pad_token_id": 0,
        "bos_token_id": 2,
        "eos_token_id": 0,
    }
    vision = {
        "model_type": "siglip_vision_model",
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "image_size": 32,
        "patch_size": 8,
        "vision_use_head": False,
    }
    config = ShieldGemma2Config(
        text_config=text,
        vision_config=vision,
        mm_tokens_per_image=4,
        boi_token_index=3,
        eoi_token_index=4,
        image_token_index=5,
        yes_token_index=6,
        no_token_index=7,
    )
    ShieldGemma2ForImageClassification(config).save_pretrained(folder)
    words = Tokenizer(models.WordLevel({word: at for at, word in enumerate(WORDS)}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words,
        pad_token="<pad>",
        unk_token="<unk>",
        bos_token="<bos>",
        extra_special_tokens={"boi_token": "<image>", "eoi_token": "</image>", "image_token": "<soft>"},
    )
    images = Gemma3ImageProcessor(size={"height": 32, "width": 32}, image_seq_length=4)
    ShieldGemma2Processor(images, tokenizer, chat_template=CHAT, image_seq_length=4).save_pretrained(folder)
    return folder


def picture(pixels: np.ndarray) -> Image.Image:
    """As PIL has it."""
    return Image.fromarray(pixels)
