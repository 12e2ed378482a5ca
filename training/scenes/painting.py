"""Trains the painter: `python -m training.scenes.painting --vae FOLDER --out FILE`.

Its latents' pixels are often those of a scene that stands a little elsewhere, in other sizes and shapes, so that it
learns to take silhouettes from the codes: what the diffusion model gets right first.
"""

from __future__ import annotations

import argparse
import copy
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional

from training.generator.optimiser import MuonAdamW
from training.scenes.autoencoder import true_latents
from training.scenes.codes import WIDTH, codes
from training.scenes.components import PIXELS, load_autoencoder
from training.scenes.painter import Painter
from training.scenes.pool import SHARES
from training.scenes.precision import fast
from training.scenes.render import render
from training.scenes.scenes import Scene, draw_known
from training.scenes.shapes import SHAPES

BATCH, POINTS = 24, 3072
SIDE = 256
AS_IT_IS, RESHAPED = 0.4, 0.6  # chances that a scene's pixels are its own; else that an object has another shape
MOVED, RESIZED = 0.06, 0.15  # at most, of the side; of its radius
PIXEL_NOISE, CODE_NOISE = 1.0, 0.25
NEAR, EDGE = 8.0, 17  # points near objects are drawn so much more often; pixels that near means
EMA = 0.998
SAVE_EVERY = 250


def main() -> None:
    """Reads the arguments, trains, saves."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vae", type=Path, default=Path("training/scenes/weights/vae"), help="the autoencoder")
    parser.add_argument("--start", type=Path, help="a painter to go on from")
    parser.add_argument("--out", type=Path, required=True, help="where the painter goes, .safetensors")
    parser.add_argument("--steps", type=int, default=4000, help=f"steps of {BATCH} scenes")
    parser.add_argument("--seed", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(arguments.seed)
    painter = Painter()
    if arguments.start:
        painter.load_state_dict(load_file(arguments.start))
    autoencoder = load_autoencoder(arguments.vae).float().eval()
    train(painter, autoencoder, np.random.default_rng(arguments.seed), arguments.steps, arguments.out)


def train(live: Painter, autoencoder: Any, rng: np.random.Generator, steps: int, out: Path) -> None:
    """Trains `live`; writes the mean of its weights over the last steps every now and then."""
    mean = copy.deepcopy(live).eval().requires_grad_(False)
    optimiser = MuonAdamW([live], muon_rate=0.01, adam_rate=2e-3)
    begun, total = time.monotonic(), 0.0
    for step in range(1, steps + 1):
        scenes = [draw_known(rng, SHARES) for _ in range(BATCH)]
        latents = _latents(autoencoder, scenes, rng)
        points, wanted = _points(scenes)
        with fast():
            difference = live(latents, points).float() - wanted
        error = (difference.abs() + difference.square()).mean()
        error.backward()
        optimiser.step(min(1.0, step / 50) * max(0.02, min(1.0, 2 * (1 - step / steps))))
        with torch.no_grad():
            decay = min(EMA, 1 - 10 / (10 + step))
            torch._foreach_lerp_(list(mean.parameters()), list(live.parameters()), 1 - decay)
        total += error.item()
        if step % 50 == 0:
            print(f"painter: step {step} error {total / 50:.4f} seconds {time.monotonic() - begun:.0f}", flush=True)
            total = 0.0
        if step % SAVE_EVERY == 0 or step == steps:
            save_file(mean.state_dict(), out)


def _latents(autoencoder: Any, scenes: list[Scene], rng: np.random.Generator) -> Tensor:
    """The scenes' codes, with the pixels of scenes like them."""
    pixels = true_latents(autoencoder, [_astray(scene, rng) for scene in scenes])[:, :PIXELS]
    truth = codes(scenes, pixels.shape[-1])
    strength = torch.rand(2, len(scenes), 1, 1, 1)
    noise = torch.randn(len(scenes), PIXELS + WIDTH, *pixels.shape[2:]).split((PIXELS, WIDTH), dim=1)
    return torch.cat(
        [pixels + PIXEL_NOISE * strength[0] * noise[0], truth + CODE_NOISE * strength[1] * noise[1]], dim=1
    )


def _astray(scene: Scene, rng: np.random.Generator) -> Scene:
    """The scene with its objects elsewhere, and often other ones; or as it is."""
    if rng.random() < AS_IT_IS:
        return scene
    items = []
    for item in scene.items:
        x, y = (at + rng.uniform(-MOVED, MOVED) for at in (item.x, item.y))
        radius = item.radius * rng.uniform(1 - RESIZED, 1 + RESIZED)
        shape = str(rng.choice(SHAPES)) if rng.random() < RESHAPED else item.shape
        items.append(replace(item, x=x, y=y, radius=radius, shape=shape))
    return replace(scene, items=tuple(items))


def _points(scenes: list[Scene]) -> tuple[Tensor, Tensor]:
    """Random points (N, P, 2) in 0 … 1, most of them near objects, and their colours (N, P, 3)."""
    pictures, covered = render(scenes, SIDE)
    near = functional.max_pool2d((covered > 0).float(), EDGE, stride=1, padding=EDGE // 2).flatten(1)
    chosen = torch.multinomial(1 + (NEAR - 1) * near, POINTS)
    colours = pictures.flatten(2).gather(2, chosen[:, None].expand(-1, 3, -1)).transpose(1, 2)
    return torch.stack([(chosen % SIDE + 0.5) / SIDE, (chosen // SIDE + 0.5) / SIDE], dim=-1), colours


if __name__ == "__main__":
    main()
