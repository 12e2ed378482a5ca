"""Writes what the service reads of a trained network: `encoder.onnx` in int8, and the heads as arrays."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic

from training.prompt_filter.network import Body, Network


def encoder(body: Body, path: Path) -> None:
    """ids int64 (B, T) → states float32 (B, T, D)."""
    axes = {name: {0: "batch", 1: "tokens"} for name in ("ids", "states")}
    with TemporaryDirectory() as work:
        full = str(Path(work) / "full.onnx")
        torch.onnx.export(
            body.eval(),
            (torch.randint(0, 100, (1, 9)),),
            full,
            dynamo=False,
            input_names=["ids"],
            output_names=["states"],
            dynamic_axes=axes,
        )
        # 7-bit weights: 8-bit ones saturate on CPUs without VNNI and would score differently there.
        quantize_dynamic(full, path, per_channel=True, reduce_range=True, weight_type=QuantType.QInt8)


def heads(network: Network) -> dict[str, np.ndarray]:
    """`query`, `weight` (heads, D) and `bias` (heads,) in float32."""
    parts = {"query": network.query.weight, "weight": network.weight.weight, "bias": network.weight.bias}
    return {name: part.detach().numpy().astype(np.float32) for name, part in parts.items()}
