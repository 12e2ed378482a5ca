"""Trains the photo model and writes `models/photo/`: `python -m training.image_filter.train --help`.

`--leave-out NAME …` trains without these sources and prints how well they are judged, writing nothing.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from training.image_filter.network import PhotoNet
from training.manifest import record

SIDE = 112
BATCH = 64
MODEL = Path("models/photo/photo.onnx")
RATES = (3e-3, 6e-4)  # of the answers, which begin from nothing, and of the features, which do not

Crops = dict[str, NDArray[np.generic]]


def worn(pixels: NDArray[np.uint8], rng: Generator) -> NDArray[np.uint8]:
    """One crop as it may arrive: smaller and enlarged again, blurred, smoothed, sharpened, saved as JPEG."""
    if rng.random() < 0.4:
        side = int(np.exp(rng.uniform(np.log(22), np.log(100))))
        small = cv2.resize(pixels, (side, side), interpolation=cv2.INTER_AREA)
        pixels = cv2.resize(
            small, pixels.shape[::-1], interpolation=int(rng.choice([cv2.INTER_LINEAR, cv2.INTER_CUBIC]))
        )
    kind = rng.random()
    if kind < 0.12:
        pixels = cv2.GaussianBlur(pixels, (0, 0), rng.uniform(0.5, 2.0))
    elif kind < 0.2:
        pixels = cv2.bilateralFilter(pixels, 5, rng.uniform(8, 25), 3)  # a telephone's beauty filter
    elif kind < 0.3:
        blurred = cv2.GaussianBlur(pixels, (0, 0), rng.uniform(0.8, 2.5))
        pixels = cv2.addWeighted(pixels, 1.7, blurred, -0.7, 0)
    if rng.random() < 0.4:
        _, file = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 90))])
        pixels = cv2.imdecode(file, cv2.IMREAD_GRAYSCALE)
    return pixels


def augment(pixels: NDArray[np.uint8], rng: Generator) -> torch.Tensor:
    """(n, 144, 144) uint8 → (n, 1, 112, 112) in 0…1: worn, moved, turned, mirrored, lit and grained anew."""
    count = len(pixels)
    pixels = np.stack([worn(crop, rng) for crop in pixels])
    x = torch.from_numpy(pixels).float().div_(255).unsqueeze(1)
    angle = torch.from_numpy(rng.normal(0, 0.2, count)).float()
    zoom = torch.from_numpy(rng.uniform(0.7, 1.0, count)).float()
    mirror = torch.from_numpy(rng.choice([-1.0, 1.0], count)).float()
    shift = torch.from_numpy(rng.normal(0, 0.06, (count, 2))).float()
    cosine, sine = torch.cos(angle) * zoom, torch.sin(angle) * zoom
    rows = [torch.stack([cosine * mirror, -sine, shift[:, 0]], 1), torch.stack([sine * mirror, cosine, shift[:, 1]], 1)]
    grid = functional.affine_grid(torch.stack(rows, 1), [count, 1, SIDE, SIDE], align_corners=False)
    x = functional.grid_sample(x, grid, padding_mode="reflection", align_corners=False)
    gain, bias, gamma, grain, slope = (
        torch.from_numpy(rng.uniform(low, high, (count, 1, 1, 1))).float()
        for low, high in ((0.5, 1.4), (-0.2, 0.2), (0.55, 1.8), (0, 0.035), (-0.35, 0.35))
    )
    ramp = torch.linspace(-0.5, 0.5, SIDE).view(1, 1, 1, SIDE)  # light from one side
    x = (x.clamp(1e-4, 1) ** gamma - 0.5) * gain + 0.5 + bias + slope * ramp * (slope.abs() > 0.15)
    return (x + torch.randn(x.shape) * grain * (grain > 0.012)).clamp(0, 1)


def middle(pixels: NDArray[np.uint8]) -> torch.Tensor:
    """(n, 144, 144) uint8 → (n, 1, 112, 112) in 0…1: their middle at seven eighths, otherwise as it is."""
    x = torch.from_numpy(pixels).float().div_(255).unsqueeze(1)[:, :, 9:-9, 9:-9]
    return functional.interpolate(x, size=SIDE, mode="area")


def weights(crops: Crops) -> NDArray[np.float64]:
    """How often each crop is drawn: as many photographs as others, each source by the root of its size.

    Photographed faces count double: few people are in them.
    """
    _, index, counts = np.unique(crops["source"], return_inverse=True, return_counts=True)
    share = (1 / np.sqrt(counts))[index] * np.where(crops["real"] == 1, 2.0, 1.0)
    for side in (0, 1):
        share[crops["photo"] == side] *= 0.5 / share[crops["photo"] == side].sum()
    return share


def train(crops: Crops, start: Path, steps: int, seed: int) -> PhotoNet:
    """A model after `steps` batches with one-cycle AdamW; face is learnt only where it is known."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    model = PhotoNet.start(start).train()
    model.to(memory_format=torch.channels_last)
    answers = list(model.answer.parameters())
    features = [value for name, value in model.named_parameters() if not name.startswith("answer")]
    groups = [{"params": part, "lr": rate} for part, rate in zip((answers, features), RATES, strict=True)]
    optimiser = torch.optim.AdamW(groups, weight_decay=0.03)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, list(RATES), total_steps=steps, pct_start=0.15)
    share = weights(crops)
    for step in range(steps):
        chosen = rng.choice(len(share), BATCH, p=share)
        logits = model(augment(crops["pixels"][chosen], rng))
        photo, face = (torch.from_numpy(crops[name][chosen]).float() for name in ("photo", "face"))
        known = (face >= 0).float()
        loss_photo = functional.binary_cross_entropy_with_logits(logits[:, 0], photo * 0.96 + 0.02)
        loss_face = functional.binary_cross_entropy_with_logits(logits[:, 1], face.clamp(0), weight=known)
        optimiser.zero_grad()
        (loss_photo + 0.5 * loss_face).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 2.0)
        optimiser.step()
        schedule.step()
        if step % 100 == 0:
            print(f"step {step} photo {loss_photo.item():.3f} face {loss_face.item():.3f}", flush=True)
    return model.eval()


def judge(model: PhotoNet, crops: Crops) -> None:
    """Print, per source, how many are called photographs and faces."""
    with torch.no_grad():
        scores = torch.cat([torch.sigmoid(model(middle(part))) for part in np.array_split(crops["pixels"], 60)]).numpy()
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
        (torch.zeros(2, 1, SIDE, SIDE),),
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
    parser.add_argument("--start", type=Path, required=True, help="what backbone.mjs wrote")
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--leave-out", nargs="*", default=[])
    arguments = parser.parse_args()
    with np.load(arguments.crops) as file:
        crops = {name: file[name] for name in file.files}
    held = np.isin(crops["source"], arguments.leave_out)
    kept = {name: column[~held] for name, column in crops.items()}
    model = train(kept, arguments.start, arguments.steps, arguments.seed)
    if arguments.leave_out:
        judge(model, {name: column[held] for name, column in crops.items()})
    else:
        judge(model, crops)
        export(model, MODEL)


if __name__ == "__main__":
    main()
