"""Writes `models/age/age.onnx`: the age network that face-api carries (MIT), without its guess of a gender.

    npm pack @vladmandic/face-api@1.7.15 && tar xzf vladmandic-face-api-1.7.15.tgz
    python -m training.image_filter.age package/model

A small Xception (Chollet, 2017), TensorFlow.js weights of 8 bits, turned into ONNX as they are.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

from training.image_filter.weights import Weights, unpack
from training.manifest import record

MODEL = Path("models/age/age.onnx")
SIDE = 112
_MEAN = (122.782, 117.001, 104.298)


def read(folder: Path) -> Weights:
    """The weights that the package carries."""
    (group,) = json.loads((folder / "age_gender_model-weights_manifest.json").read_text(encoding="utf-8"))
    return unpack(group["weights"], folder / "age_gender_model.bin")


def _same(x: torch.Tensor, kernel: int, stride: int, fill: float = 0.0) -> torch.Tensor:
    """TensorFlow's "same" padding: what is odd goes below and to the right."""
    side = x.shape[-1]
    missing = max((-(-side // stride) - 1) * stride + kernel - side, 0)
    return functional.pad(x, (missing // 2, missing - missing // 2) * 2, value=fill)


class AgeNet(nn.Module):
    """(n, 112, 112, 3) RGB 0…255 → (n,) years."""

    def __init__(self, weights: Weights) -> None:
        super().__init__()
        self.weights = weights

    def _conv(self, x: torch.Tensor, name: str, stride: int) -> torch.Tensor:
        filters = self.weights[f"{name}/filters"].permute(3, 2, 0, 1)
        return functional.conv2d(_same(x, filters.shape[-1], stride), filters, self.weights[f"{name}/bias"], stride)

    def _separable(self, x: torch.Tensor, name: str) -> torch.Tensor:
        depth = self.weights[f"{name}/depthwise_filter"].permute(2, 3, 0, 1)
        point = self.weights[f"{name}/pointwise_filter"].permute(3, 2, 0, 1)
        x = functional.conv2d(x, depth, padding=1, groups=len(depth))
        return functional.conv2d(x, point, self.weights[f"{name}/bias"])

    def _reduction(self, x: torch.Tensor, name: str, active: bool = True) -> torch.Tensor:
        y = self._separable(functional.relu(x) if active else x, f"{name}/separable_conv0")
        y = self._separable(functional.relu(y), f"{name}/separable_conv1")
        y = functional.max_pool2d(_same(y, 3, 2, float("-inf")), 3, 2)
        return y + self._conv(x, f"{name}/expansion_conv", 2)

    def _main(self, x: torch.Tensor, name: str) -> torch.Tensor:
        y = x
        for index in range(3):
            y = self._separable(functional.relu(y), f"{name}/separable_conv{index}")
        return y + x

    def forward(self, faces: torch.Tensor) -> torch.Tensor:
        """Years."""
        x = (faces.permute(0, 3, 1, 2) - torch.tensor(_MEAN).view(1, 3, 1, 1)) / 255
        x = functional.relu(self._conv(x, "entry_flow/conv_in", 2))
        x = self._reduction(x, "entry_flow/reduction_block_0", active=False)
        x = self._reduction(x, "entry_flow/reduction_block_1")
        for index in range(2):
            x = self._main(x, f"middle_flow/main_block_{index}")
        x = self._reduction(x, "exit_flow/reduction_block")
        x = functional.relu(self._separable(x, "exit_flow/separable_conv")).mean((2, 3))
        return (x @ self.weights["fc/age/weights"] + self.weights["fc/age/bias"])[:, 0]


def main() -> None:
    """Convert what lies in the folder that the first argument names."""
    MODEL.parent.mkdir(parents=True, exist_ok=True)
    torch.onnx.export(
        AgeNet(read(Path(sys.argv[1]))).eval(),
        (torch.zeros(2, SIDE, SIDE, 3),),
        str(MODEL),
        input_names=["faces"],
        output_names=["years"],
        dynamic_axes={"faces": {0: "n"}, "years": {0: "n"}},
        dynamo=False,
    )
    record(MODEL)


if __name__ == "__main__":
    main()
