"""Makes ONNX files in int8 of an open_clip checkpoint, for the combo filter on processors.

    python -m training.combo.export --weights W.safetensors --config open_clip_config.json --out folder

writes `image.onnx` and `text.onnx` and prints their digests: PORTCULLIS_COMBO_FILTER_JOINT_ENCODER and
…_JOINT_ENCODER_TEXT take them.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import onnx
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic

from services.core.artifacts import file_sha256
from services.core.open_clip_model import open_clip_model
from services.core.open_clip_onnx import LOGIT_SCALE


class _Tower(torch.nn.Module):
    """One half of the model as a module of its own."""

    def __init__(self, network: Any, call: str) -> None:
        super().__init__()
        self.network, self._call = network, call

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        vectors: torch.Tensor = getattr(self.network, self._call)(batch)
        return vectors


def main() -> None:
    """Reads the arguments, exports, prints the digests."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, required=True, help="a checkpoint, .safetensors")
    parser.add_argument("--config", type=Path, required=True, help="its open_clip_config.json")
    parser.add_argument("--out", type=Path, required=True, help="a folder")
    arguments = parser.parse_args()
    for path in export(arguments.weights, arguments.config, arguments.out):
        print(f"{file_sha256(path)}  {path}")


def export(weights: Path, config: Path, out: Path) -> tuple[Path, Path]:
    """Writes both towers; ConfigurationError where the checkpoint cannot be opened."""
    network, _ = open_clip_model(weights, config, "checkpoint")
    model = json.loads(config.read_text(encoding="utf-8"))["model_cfg"]
    side, context = model["vision_cfg"]["image_size"], model["text_cfg"].get("context_length", 77)
    out.mkdir(parents=True, exist_ok=True)
    image, text = out / "image.onnx", out / "text.onnx"
    _write(_Tower(network, "encode_image"), torch.zeros(1, 3, side, side), image)
    _write(_Tower(network, "encode_text"), torch.ones(1, context, dtype=torch.int64), text)
    saved = onnx.load(str(image))
    onnx.helper.set_model_props(saved, {LOGIT_SCALE: str(float(network.logit_scale.detach()))})
    onnx.save(saved, str(image))
    return image, text


def _write(tower: torch.nn.Module, example: torch.Tensor, path: Path) -> None:
    with TemporaryDirectory() as work:
        full = str(Path(work) / "full.onnx")
        axes = {"batch": {0: "n"}, "vectors": {0: "n"}}
        torch.onnx.export(
            tower.eval(),
            (example,),
            full,
            dynamo=False,
            input_names=["batch"],
            output_names=["vectors"],
            dynamic_axes=axes,
        )
        # 7-bit weights: 8-bit ones saturate on CPUs without VNNI. Convolutions stay: int8 makes them slower.
        quantize_dynamic(
            full,
            path,
            per_channel=True,
            reduce_range=True,
            weight_type=QuantType.QInt8,
            op_types_to_quantize=["MatMul", "Gemm"],
        )


if __name__ == "__main__":
    main()
