"""Reads weights of TensorFlow.js: names, shapes and how they were packed in JSON, all numbers in one file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

Weights = dict[str, torch.Tensor]


def unpack(entries: list[dict[str, Any]], file: Path) -> Weights:
    """Name → values; numbers packed into 8 or 16 bits are spread out again. ValueError where numbers are left over."""
    data, at = file.read_bytes(), 0
    weights: Weights = {}
    for entry in entries:
        packing = entry.get("quantization", {"dtype": "float32", "scale": 1.0, "min": 0.0})
        kind, count = np.dtype(packing["dtype"]), int(np.prod(entry["shape"]))
        values = np.frombuffer(data, kind, count, at).astype(np.float32) * packing["scale"] + packing["min"]
        weights[entry["name"]] = torch.from_numpy(values.astype(np.float32).reshape(entry["shape"]))
        at += count * kind.itemsize
    if at != len(data):
        raise ValueError(f"{file} has {len(data)} bytes, {at} expected")
    return weights
