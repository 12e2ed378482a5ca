"""Trains a head on both embeddings of a pair from labelled pairs: `python -m training.combo.head PAIRS.jsonl HEAD.npz`.

A line is {"prompt", "image" (a path beside the file), "concepts": the names that are true of the pair}; pairs that
analysts decided are such lines. The encoder is the one that the combo filter's own settings name
(PORTCULLIS_COMBO_FILTER_JOINT_ENCODER …). One pair in five is held out and reported on.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from rich.progress import track

from services.combo_filter.encoder import OpenClipEncoder, load_encoder
from services.combo_filter.head import Vector, features
from services.combo_filter.settings import ComboFilterSettings
from services.core.artifacts import file_sha256
from services.core.imaging import Rgb

HELD_OUT = 5
AT_ONCE = 64  # texts
STEPS, RATE, DECAY = 400, 0.05, 1e-3


@dataclass(frozen=True, slots=True)
class Pair:
    """A text, a picture (height, width, 3) uint8, and what is true of both together."""

    prompt: str
    picture: Rgb
    concepts: frozenset[str]


def main() -> None:
    """Reads the arguments, trains, reports, saves."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", type=Path, help="labelled pairs, JSON lines")
    parser.add_argument("out", type=Path, help="the head, .npz")
    arguments = parser.parse_args()
    encoder = load_encoder(ComboFilterSettings())
    if encoder is None:
        parser.error("set PORTCULLIS_COMBO_FILTER_JOINT_ENCODER: a head stands on an encoder")
    pairs = read_pairs(arguments.pairs)
    report = train(encoder, pairs, arguments.out)
    for name, (found, wrong) in report.items():
        print(f"{name}: {found:.1%} found, {wrong:.1%} of the others called so, of the pairs held out")
    print(f"{file_sha256(arguments.out)}  {arguments.out}")


def read_pairs(path: Path) -> list[Pair]:
    """The labelled pairs of a file."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    return [Pair(row["prompt"], _open(path.parent / row["image"]), frozenset(row["concepts"])) for row in rows]


def train(encoder: OpenClipEncoder, pairs: Sequence[Pair], out: Path) -> dict[str, tuple[float, float]]:
    """Writes the head; returns, of each concept, the shares found and wrongly called so among the pairs held out."""
    names = sorted(set[str]().union(*(pair.concepts for pair in pairs)))
    inputs = torch.from_numpy(_embed(encoder, pairs))
    truth = torch.tensor([[name in pair.concepts for name in names] for pair in pairs], dtype=torch.float32)
    held = torch.arange(len(pairs)) % HELD_OUT == 0
    layer = torch.nn.Linear(inputs.shape[1], len(names))
    optimiser = torch.optim.AdamW(layer.parameters(), lr=RATE, weight_decay=DECAY)
    for _ in range(STEPS):
        loss = torch.nn.functional.binary_cross_entropy_with_logits(layer(inputs[~held]), truth[~held])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    weight, bias = (part.detach().numpy() for part in (layer.weight, layer.bias))
    np.savez(out, concepts=np.array(names), weight=weight, bias=bias)
    called, true = (layer(inputs[held]) > 0).float(), truth[held]
    found, wrong = (called * true).sum(0) / true.sum(0), (called * (1 - true)).sum(0) / (1 - true).sum(0)
    return {name: (float(found[at]), float(wrong[at])) for at, name in enumerate(names)}


@torch.inference_mode()
def _embed(encoder: OpenClipEncoder, pairs: Sequence[Pair]) -> Vector:
    seen = torch.stack([encoder.look(pair.picture) for pair in track(pairs, "pictures", transient=True)])
    parts = [pairs[at : at + AT_ONCE] for at in range(0, len(pairs), AT_ONCE)]
    read = torch.cat([encoder.read([pair.prompt for pair in part]) for part in track(parts, "texts", transient=True)])
    return features(seen.numpy(), read.numpy())


def _open(path: Path) -> Rgb:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


if __name__ == "__main__":
    main()
