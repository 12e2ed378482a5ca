"""Trains the embedded generator from nothing but rendered scenes: `python -m training.generator.train`.

About 45 minutes on one free core. Checkpoints go to OUT as training runs, so that OUT always holds a usable model.
"""

from __future__ import annotations

import argparse
import copy
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from services.core.artifacts import MODELS
from training.generator import components
from training.generator.optimiser import MuonAdamW
from training.generator.scenes import MAX_TOKENS, Scene, caption, draw_scene, render
from training.manifest import record

BATCH = 32
DROP_CAPTION = 0.1
FOREGROUND_WEIGHT = 6.0
EMA = 0.998
SAVE_EVERY = 250


def main() -> None:
    """Reads the arguments, trains, saves."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("models/scenes"), help="where the model goes")
    parser.add_argument("--steps", type=int, default=4200, help="optimiser steps of 32 pictures")
    parser.add_argument(
        "--resume", type=int, default=0, help="steps that the model in OUT has had; it goes on from there"
    )
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    train(arguments.out, arguments.steps, arguments.seed, arguments.resume)


def train(out: Path, steps: int, seed: int, had: int = 0) -> None:
    """Trains up to `steps`, from the model in `out` if it has `had` some; saves the running mean of the weights."""
    torch.manual_seed(seed + had)
    rng = np.random.default_rng(seed + had)
    tokenizer, scheduler = components.build_tokenizer(), components.build_scheduler()
    text_encoder, unet = components.build_text_encoder(tokenizer), components.build_unet()
    if had:
        text_encoder, unet = (
            type(text_encoder).from_pretrained(out / "text_encoder"),
            type(unet).from_pretrained(out / "unet"),
        )
    live = torch.nn.ModuleList([text_encoder, unet]).train()
    mean = copy.deepcopy(live).eval().requires_grad_(False)
    optimiser = MuonAdamW([text_encoder, unet], muon_rate=0.012, adam_rate=1.2e-3)
    kept = scheduler.alphas_cumprod
    begun, total = time.monotonic(), 0.0
    for step in range(had + 1, steps + 1):
        scenes = draw_batch(rng, single=1.0 if step < 0.1 * steps else 0.4)
        tokens = tokenize(tokenizer, scenes, rng)
        loss = _loss(text_encoder, unet, kept, tokens, scenes)
        loss.backward()
        optimiser.step(rate_at(step / steps))
        _follow(mean, live, min(EMA, 1 - 10 / (10 + step - had)))
        total += loss.item()
        if step % 50 == 0:
            print(f"step {step} loss {total / 50:.5f} seconds {time.monotonic() - begun:.0f}", flush=True)
            total = 0.0
        if step % SAVE_EVERY == 0 or step == steps:
            _save(out, tokenizer, mean[0], mean[1], scheduler)


def draw_batch(rng: np.random.Generator, single: float) -> list[Scene]:
    """Scenes for one step, `single` of them of one object, none of them held out."""
    scenes: list[Scene] = []
    while len(scenes) < BATCH:
        scene = draw_scene(rng, 1 if rng.random() < single else 2)
        if not scene.held_out():
            scenes.append(scene)
    return scenes


def tokenize(tokenizer: Any, scenes: list[Scene], rng: np.random.Generator) -> Tensor:
    """Token ids (N, 24) of the scenes' captions, some of them dropped, for guidance without a classifier."""
    texts = ["" if rng.random() < DROP_CAPTION else caption(scene, rng) for scene in scenes]
    encoded = tokenizer(texts, padding="max_length", max_length=MAX_TOKENS, truncation=True, return_tensors="pt")
    return encoded.input_ids


def rate_at(progress: float) -> float:
    """The learning rate's scale: a short warm-up, flat, then down to 1% over the last two fifths."""
    if progress < 0.01:
        return progress / 0.01
    return max(0.01, min(1.0, 2.5 * (1 - progress)))


def _loss(
    text_encoder: torch.nn.Module, unet: torch.nn.Module, kept: Tensor, tokens: Tensor, scenes: list[Scene]
) -> Tensor:
    """Weighted squared error of the predicted clean picture, objects and their edges six times the background."""
    pictures, covered = render(scenes)
    clean = components.pack(pictures)
    near = functional.max_pool2d((covered > 0).float(), 5, stride=1, padding=2)
    weight = components.pack((1 + (FOREGROUND_WEIGHT - 1) * near).expand(-1, 3, -1, -1))
    # One time in each of as many equal parts: less chance in the mean over the batch.
    times = ((torch.arange(len(scenes)) + torch.rand(len(scenes))) * (len(kept) / len(scenes))).long()
    signal = kept[times][:, None, None, None]
    noisy = signal.sqrt() * clean + (1 - signal).sqrt() * torch.randn_like(clean)
    guess = unet(noisy, times, text_encoder(tokens).last_hidden_state).sample
    return (weight * (guess - clean).square()).sum() / weight.sum()


def _save(out: Path, tokenizer: Any, text_encoder: Any, unet: Any, scheduler: Any) -> None:
    """Writes the model and, where it ships with the house, its digests."""
    components.save(out, tokenizer, text_encoder, unet, scheduler)
    shutil.copy(Path(__file__).with_name("portcullis.json"), out)
    if out.resolve().is_relative_to(MODELS):
        record(*(path for path in out.rglob("*") if path.is_file() and path.suffix != ".md"))


@torch.no_grad()
def _follow(mean: torch.nn.Module, live: torch.nn.Module, decay: float) -> None:
    torch._foreach_lerp_(list(mean.parameters()), list(live.parameters()), 1 - decay)


if __name__ == "__main__":
    main()
