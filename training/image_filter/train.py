"""Trains the photo model and writes `models/photo/`: `python -m training.image_filter.train --help`.

`--leave-out NAME …` trains without these sources and prints how well they are judged, writing nothing.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch.nn import functional

from training.image_filter.network import PhotoNet
from training.manifest import record

SIDE = 96
BATCH = 96
MODEL = Path("models/photo/photo.onnx")

Crops = dict[str, NDArray[np.generic]]


def augment(pixels: NDArray[np.uint8], rng: Generator) -> torch.Tensor:
    """(n, 112, 112) uint8 → (n, 1, 96, 96) in 0…1: moved, turned, mirrored, blurred, shrunk, lit and grained anew."""
    count = len(pixels)
    x = torch.from_numpy(pixels).float().div_(255).unsqueeze(1)
    angle = torch.from_numpy(rng.normal(0, 0.2, count)).float()
    zoom = torch.from_numpy(rng.uniform(0.72, 1.0, count)).float()
    mirror = torch.from_numpy(rng.choice([-1.0, 1.0], count)).float()
    shift = torch.from_numpy(rng.normal(0, 0.06, (count, 2))).float()
    cosine, sine = torch.cos(angle) * zoom, torch.sin(angle) * zoom
    rows = [torch.stack([cosine * mirror, -sine, shift[:, 0]], 1), torch.stack([sine * mirror, cosine, shift[:, 1]], 1)]
    grid = functional.affine_grid(torch.stack(rows, 1), [count, 1, SIDE, SIDE], align_corners=False)
    x = functional.grid_sample(x, grid, padding_mode="reflection", align_corners=False)
    for index in np.flatnonzero(rng.random(count) < 0.35):  # a small face on a large picture arrives enlarged
        small = functional.interpolate(x[index : index + 1], size=int(rng.integers(24, 80)), mode="area")
        x[index] = functional.interpolate(small, size=SIDE, mode="bilinear", align_corners=False)[0]
    gain, bias, gamma, grain = (
        torch.from_numpy(rng.uniform(low, high, (count, 1, 1, 1))).float()
        for low, high in ((0.6, 1.3), (-0.15, 0.15), (0.6, 1.6), (0, 0.03))
    )
    x = (x.clamp(1e-4, 1) ** gamma - 0.5) * gain + 0.5 + bias
    x = torch.where(torch.from_numpy(rng.random((count, 1, 1, 1)) < 0.05), 1 - x, x)
    return (x + torch.randn(x.shape) * grain * (grain > 0.012)).clamp(0, 1)


def middle(pixels: NDArray[np.uint8]) -> torch.Tensor:
    """(n, 112, 112) uint8 → (n, 1, 96, 96) in 0…1, shrunk and otherwise as it is."""
    x = torch.from_numpy(pixels).float().div_(255).unsqueeze(1)
    return functional.interpolate(x, size=SIDE, mode="area")


def weights(crops: Crops) -> NDArray[np.float64]:
    """How often each crop is drawn: six photographs to four others, each source by the root of its size.

    More photographs, since what is doubtful shall count as one.
    """
    _, index, counts = np.unique(crops["source"], return_inverse=True, return_counts=True)
    share = (1 / np.sqrt(counts))[index]
    for side, part in ((0, 0.4), (1, 0.6)):
        share[crops["photo"] == side] *= part / share[crops["photo"] == side].sum()
    return share


def train(crops: Crops, steps: int, seed: int) -> PhotoNet:
    """A model after `steps` batches with one-cycle AdamW; face is learnt only where it is known."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    model = PhotoNet().train().to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, total_steps=steps, pct_start=0.1)
    share = weights(crops)
    for step in range(steps):
        chosen = rng.choice(len(share), BATCH, p=share)
        logits = model(augment(crops["pixels"][chosen], rng))
        photo, face = (torch.from_numpy(crops[name][chosen]).float() for name in ("photo", "face"))
        known = (face >= 0).float()
        loss_photo = functional.binary_cross_entropy_with_logits(logits[:, 0], photo * 0.96 + 0.02)
        loss_face = functional.binary_cross_entropy_with_logits(logits[:, 1], face.clamp(0), weight=known)
        optimiser.zero_grad()
        (loss_photo + loss_face).backward()
        optimiser.step()
        schedule.step()
        if step % 200 == 0:
            print(f"step {step} photo {loss_photo.item():.3f} face {loss_face.item():.3f}", flush=True)
    return model.eval()


def judge(model: PhotoNet, crops: Crops) -> None:
    """Print, per source, how many are called photographs and faces."""
    with torch.no_grad():
        scores = torch.cat([torch.sigmoid(model(middle(part))) for part in np.array_split(crops["pixels"], 40)]).numpy()
    for name in np.unique(crops["source"]):
        here = crops["source"] == name
        called = (scores[here] >= 0.5).mean(axis=0)
        truth = crops["photo"][here].mean()
        print(f"{name:12} n {here.sum():5} photo {truth:.0f} called photo {called[0]:.3f} called face {called[1]:.3f}")


def export(model: PhotoNet, path: Path) -> None:
    """ONNX with a free batch size; outputs probabilities (n, 2): photo, face."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scorer = torch.nn.Sequential(model, torch.nn.Sigmoid()).eval()
    torch.onnx.export(
        scorer,
        (torch.zeros(1, 1, SIDE, SIDE),),
        str(path),
        input_names=["grey"],
        output_names=["photo_face"],
        dynamic_axes={"grey": {0: "n"}, "photo_face": {0: "n"}},
        dynamo=False,
    )
    record(path)


def main() -> None:
    """Train on everything, or on all but some sources."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--crops", type=Path, default=Path("build/photo-crops.npz"))
    parser.add_argument("--steps", type=int, default=2500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--leave-out", nargs="*", default=[])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with np.load(arguments.crops) as file:
        crops = {name: file[name] for name in file.files}
    # Dragged colours on scenery are no more drawn than a blurred photograph is: only faces are kept of these.
    kept = (crops["source"] != "oil") | (crops["face"] == 1)
    crops = {name: column[kept] for name, column in crops.items()}
    held = np.isin(crops["source"], arguments.leave_out)
    model = train({name: column[~held] for name, column in crops.items()}, arguments.steps, arguments.seed)
    if arguments.leave_out:
        judge(model, {name: column[held] for name, column in crops.items()})
    else:
        judge(model, crops)
        export(model, MODEL)


if __name__ == "__main__":
    main()
