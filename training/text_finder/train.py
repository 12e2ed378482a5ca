"""Trains the text finder and writes `models/text/finder.onnx`: `python -m training.text_finder.train --help`."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.random import Generator
from rapidocr_onnxruntime import RapidOCR
from torch import Tensor, nn
from torch.nn import functional

from training.manifest import record
from training.text_finder.network import SCALE, UNIT_HEIGHT, Finder
from training.text_finder.paint import legible_fonts
from training.text_finder.scenes import Example, example, supplies_of

MODEL = Path("models/text/finder.onnx")
BATCH = 24
HELD_OUT = 5  # every fifth photograph and font is kept for measuring


def photos_without_text(folder: Path) -> list[Path]:
    """Pictures of a folder in which the reader reads nothing."""
    reader = RapidOCR(intra_op_num_threads=1)
    return [path for path in sorted(folder.iterdir()) if not reader(cv2.imread(str(path)))[0]]


def batch_of(examples: Sequence[Example], rng: Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Pictures (n, 3, 256, 256) in 0…1 with their maps, turned, mirrored, inverted and recoloured at random."""
    pixels, texts, heights = [], [], []
    for one in (examples[i] for i in rng.integers(len(examples), size=BATCH)):
        turns, mirror = int(rng.integers(4)), rng.random() < 0.3
        maps = [one.pixels[..., rng.permutation(3)], one.text, one.height]
        maps = [np.rot90(m[:, ::-1] if mirror else m, turns) for m in maps]
        pixels.append((255 - maps[0] if rng.random() < 0.3 else maps[0]).transpose(2, 0, 1).copy())
        texts.append(maps[1].copy())
        heights.append(maps[2].copy())
    return (
        torch.from_numpy(np.stack(pixels)).float() / 255,
        torch.from_numpy(np.stack(texts)),
        torch.from_numpy(np.stack(heights)),
    )


def loss_of(maps: Tensor, text: Tensor, height: Tensor) -> Tensor:
    """Cross entropy of the known cells, and how wrong the heights of those with text are."""
    known, there = text != 255, text == 1
    found = functional.binary_cross_entropy_with_logits(maps[:, 0][known], text[known].float())
    if not there.any():
        return found
    return found + 0.2 * functional.smooth_l1_loss(maps[:, 1][there], height[there])


def train(examples: Sequence[Example], steps: int, rng: Generator) -> Finder:
    """A finder trained from nothing."""
    model = Finder().train()
    optimiser = torch.optim.AdamW(model.parameters(), 3e-3, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, steps)
    begin, total = time.monotonic(), 0.0
    for step in range(1, steps + 1):
        pixels, text, height = batch_of(examples, rng)
        loss = loss_of(model(pixels), text, height)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
        total += float(loss)
        if step % 200 == 0:
            print(f"{step} of {steps}: loss {total / 200:.4f}, {time.monotonic() - begin:.0f} s", flush=True)
            total = 0.0
    return model.eval()


class Shipped(nn.Module):
    """The finder as it is shipped: pixels as 0…255, out comes P(text) and the letter height in pixels."""

    def __init__(self, model: Finder) -> None:
        super().__init__()
        self.layers = deepcopy(model.layers)
        # What brings pixels to the range of the first layer becomes part of it: a third of the time was theirs.
        convolution, norm, _ = self.layers[0]
        norm.running_mean += SCALE / 2 * convolution.weight.data.sum((1, 2, 3))
        convolution.weight.data *= SCALE / 255

    def forward(self, pictures: Tensor) -> Tensor:
        """(n, 3, h, w) → (n, 2, h / 16, w / 16)."""
        maps = self.layers(pictures)
        return torch.cat([maps[:, :1].sigmoid(), UNIT_HEIGHT * 2.0 ** maps[:, 1:]], 1)


def export(model: Finder) -> None:
    """Writes the ONNX file and its digest."""
    MODEL.parent.mkdir(exist_ok=True)
    axes = {0: "n", 2: "h", 3: "w"}
    torch.onnx.export(
        Shipped(model),
        (torch.zeros(1, 3, 256, 256),),
        str(MODEL),
        input_names=["pictures"],
        output_names=["maps"],
        dynamic_axes={"pictures": axes, "maps": axes},
        dynamo=False,
    )
    record(MODEL)


def main() -> None:
    """Makes the examples, trains and exports."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--fonts", type=Path, nargs="+", required=True)
    parser.add_argument("--examples", type=int, default=4500)
    parser.add_argument("--steps", type=int, default=2600)
    chosen = parser.parse_args()
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    photos, fonts = photos_without_text(chosen.photos), legible_fonts(chosen.fonts)
    photos, fonts = ([p for i, p in enumerate(paths) if i % HELD_OUT] for paths in (photos, fonts))
    supplies = supplies_of(photos, fonts)
    print(f"{len(photos)} photographs, {len(fonts)} fonts")
    examples = [example(rng, supplies) for _ in range(chosen.examples)]
    print("examples made", flush=True)
    export(train(examples, chosen.steps, rng))


if __name__ == "__main__":
    main()
