"""Trains the embedded generator from nothing but rendered scenes: `python -m training.scenes.train`.

`training.scenes.clip` comes first. Then the autoencoder, the upsampler behind it and the diffusion model over its
latents, on captions and on CLIP's embeddings of other pictures of the same things. OUT holds a usable model from the
first checkpoint on. What lies in STATE is not made again: after a break the same command goes on.
"""

from __future__ import annotations

import argparse
import copy
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from services.core.artifacts import MODELS
from services.generator.kandinsky import embed
from services.generator.upsampler import Upsampler
from training.generator.optimiser import MuonAdamW
from training.manifest import record
from training.scenes import components
from training.scenes.autoencoder import sharpen, teach_codes, train_autoencoder, true_latents
from training.scenes.captions import MAX_TOKENS, caption
from training.scenes.clip import load_clip
from training.scenes.pool import draw_pool, pictures, unit
from training.scenes.precision import fast
from training.scenes.render import SIDE, render
from training.scenes.scenes import Scene, lay_out
from training.scenes.upsampler import train_upsampler

BATCH = 64
SINGLE_FIRST = 300  # steps see scenes of one object alone
SAY, SHOW = 0.75, 0.2  # of the scenes come with their caption alone, with another picture's embedding alone
MAX_SNR = 5.0
OBJECT_WEIGHT = 3.0  # positions that objects reach into count so much more than the ground
EMA = 0.998
SAVE_EVERY = 250


def main() -> None:
    """Reads the arguments, trains, saves."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("models/scenes"), help="where the model goes")
    parser.add_argument("--clip", type=Path, default=Path("models/scenes-clip"), help="the tiny CLIP")
    parser.add_argument("--start", type=Path, help="a model to go on from, its autoencoder and upsampler as they are")
    parser.add_argument("--state", type=Path, default=Path("out/scenes"), help="folder of what was reached so far")
    parser.add_argument("--autoencoder-steps", type=int, default=4000, help="steps of 32 pictures")
    parser.add_argument("--decoder-steps", type=int, default=4000, help="steps more for its decoder alone")
    parser.add_argument("--code-steps", type=int, default=12_000, help="steps more for its encoder, to read shapes")
    parser.add_argument("--upsampler-steps", type=int, default=2000, help="steps of 16 pieces of pictures")
    parser.add_argument("--steps", type=int, default=12_000, help=f"steps of {BATCH} scenes for the diffusion model")
    parser.add_argument("--scenes", type=int, default=60_000, help="scenes encoded once and seen again and again")
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    rng = np.random.default_rng(arguments.seed)
    vae, enlarger = ((arguments.start or arguments.state) / part for part in ("vae", "upsampler"))
    if not vae.exists():
        autoencoder = train_autoencoder(rng, arguments.autoencoder_steps)
        autoencoder = sharpen(autoencoder, rng, arguments.decoder_steps)
        teach_codes(autoencoder, rng, arguments.code_steps).save_pretrained(vae)
    autoencoder = components.load_autoencoder(vae).eval()
    if not enlarger.exists():
        train_upsampler(autoencoder, rng, arguments.upsampler_steps).save_pretrained(enlarger)
    lessons = prepare(autoencoder, load_clip(arguments.clip), rng, arguments.scenes)
    fixed = {"vae": autoencoder, "upsampler": Upsampler.from_pretrained(enlarger).eval()}
    train(arguments.out, fixed, lessons, rng, arguments.steps, arguments.state / "diffusion.pt", arguments.start)


@dataclass(frozen=True, slots=True)
class Lessons:
    """Scenes, their latents (N, 32, 8, 8) of unit variance, how much each position counts (N, 1, 8, 8), and embeddings
    (N, 192) of the same things elsewhere.
    """

    scenes: list[Scene]
    latents: Tensor
    weights: Tensor
    shown: Tensor


@torch.no_grad()
def prepare(autoencoder: Any, clip: Any, rng: np.random.Generator, count: int) -> Lessons:
    """Draws, encodes and embeds `count` scenes."""
    scenes = draw_pool(rng, count)
    latents, weights, shown = [], [], []
    begun = time.monotonic()
    for at in range(0, count, 500):
        part = scenes[at : at + 500]
        _drawn, covered = render(part)
        latents.append(true_latents(autoencoder, part))
        objects = functional.adaptive_max_pool2d((covered > 0).float(), latents[0].shape[-1])
        weights.append(1 + (OBJECT_WEIGHT - 1) * objects)
        elsewhere = unit(pictures([lay_out(rng, scene) for scene in part], SIDE))
        shown.append(embed(clip, elsewhere))
    print(f"lessons: {count} scenes in {time.monotonic() - begun:.0f} seconds", flush=True)
    return Lessons(scenes, torch.cat(latents), torch.cat(weights), torch.cat(shown))


def train(
    out: Path,
    fixed: Mapping[str, Any],
    lessons: Lessons,
    rng: np.random.Generator,
    steps: int,
    state: Path,
    start: Path | None,
) -> None:
    """Trains text encoder and UNet, on from `state` or else from the model `start`.

    Saves the mean of their weights beside the `fixed` parts.
    """
    tokenizer, scheduler = components.build_tokenizer(), components.build_scheduler()
    begin = components.load_networks(start) if start else components.build_networks(tokenizer)
    begin[1].to(memory_format=torch.channels_last)
    live = torch.nn.ModuleList(begin).train()
    mean = copy.deepcopy(live).eval().requires_grad_(False)
    optimiser = MuonAdamW(list(live), muon_rate=0.012, adam_rate=1.2e-3)
    first = _restore(state, live, mean, optimiser) if state.exists() else 0
    single = np.array([index for index, scene in enumerate(lessons.scenes) if len(scene.items) == 1])
    begun, total = time.monotonic(), 0.0
    for step in range(first + 1, steps + 1):
        chosen = rng.choice(single if step <= SINGLE_FIRST else len(lessons.scenes), BATCH)
        texts, shown = _conditions(lessons, chosen, rng)
        clean, weights = (each[torch.from_numpy(chosen)] for each in (lessons.latents, lessons.weights))
        ids = _tokenize(tokenizer, texts)
        loss = _loss(live[0], live[1], scheduler.alphas_cumprod, ids, shown, clean, weights)
        loss.backward()
        optimiser.step(_rate(step, steps))
        _follow(mean, live, min(EMA, 1 - 10 / (10 + step)))
        total += loss.item()
        if step % 50 == 0:
            print(f"diffusion: step {step} loss {total / 50:.4f} seconds {time.monotonic() - begun:.0f}", flush=True)
            total = 0.0
        if step % SAVE_EVERY == 0 or step == steps:
            parts = {"tokenizer": tokenizer, "text_encoder": mean[0], "unet": mean[1], "scheduler": scheduler}
            _save(out, **fixed, **parts)
            _keep(state, step, live, mean, optimiser)


def _conditions(lessons: Lessons, chosen: Any, rng: np.random.Generator) -> tuple[list[str], Tensor]:
    """Captions and embeddings, one of them or both left out, as unCLIP does (Ramesh et al., 2022)."""
    kinds = rng.random(len(chosen))
    texts = [
        caption(lessons.scenes[index], rng) if kind < SAY else "" for index, kind in zip(chosen, kinds, strict=True)
    ]
    seen = torch.from_numpy((kinds >= SAY) & (kinds < SAY + SHOW)).float()[:, None]
    return texts, lessons.shown[torch.from_numpy(chosen)] * seen


def _tokenize(tokenizer: Any, texts: Sequence[str]) -> Tensor:
    """Token ids (N, 32)."""
    encoded = tokenizer(list(texts), padding="max_length", max_length=MAX_TOKENS, truncation=True, return_tensors="pt")
    ids: Tensor = encoded.input_ids
    return ids


def _rate(step: int, steps: int) -> float:
    """The learning rate's scale: 50 steps of warm-up, flat, then down to 1% over the last 45%."""
    return min(1.0, step / 50) * max(0.01, min(1.0, 2.2 * (1 - step / steps)))


def _loss(
    text_encoder: torch.nn.Module,
    unet: torch.nn.Module,
    kept: Tensor,
    tokens: Tensor,
    shown: Tensor,
    clean: Tensor,
    weights: Tensor,
) -> Tensor:
    """Squared error of the clean latents, predicted from noisy ones."""
    # One time in each of as many equal parts: less chance in the mean over the batch.
    times = ((torch.arange(len(clean)) + torch.rand(len(clean))) * (len(kept) / len(clean))).long()
    signal = kept[times][:, None, None, None]
    noisy = signal.sqrt() * clean + (1 - signal).sqrt() * torch.randn_like(clean)
    with fast():
        said = text_encoder(tokens).last_hidden_state
        guess = unet(noisy, times, said, added_cond_kwargs={"image_embeds": shown}).sample
    # Less where noise drowns everything: shapes are decided in the middle (after Hang et al., "Min-SNR", 2023).
    weights = (signal / (1 - signal)).clamp(max=MAX_SNR).sqrt() * weights
    error: Tensor = (weights * (guess.float() - clean).square()).sum() / weights.sum() / clean.shape[1]
    return error


def _save(out: Path, **parts: Any) -> None:
    """Writes the model and, where it ships with the house, its digests."""
    components.save(out, **parts)
    shutil.copy(Path(__file__).with_name("portcullis.json"), out)
    if out.resolve().is_relative_to(MODELS):
        record(*(path for path in out.rglob("*") if path.is_file() and path.suffix != ".md"))


def _keep(state: Path, step: int, live: Any, mean: Any, optimiser: MuonAdamW) -> None:
    state.parent.mkdir(parents=True, exist_ok=True)
    kept = {"step": step, "live": live.state_dict(), "mean": mean.state_dict(), "optimiser": optimiser.state_dict()}
    torch.save(kept, state.with_suffix(".new"))
    state.with_suffix(".new").rename(state)


def _restore(state: Path, live: Any, mean: Any, optimiser: MuonAdamW) -> int:
    kept = torch.load(state, weights_only=True)
    live.load_state_dict(kept["live"])
    mean.load_state_dict(kept["mean"])
    optimiser.load_state_dict(kept["optimiser"])
    return int(kept["step"])


@torch.no_grad()
def _follow(mean: torch.nn.Module, live: torch.nn.Module, decay: float) -> None:
    torch._foreach_lerp_(list(mean.parameters()), list(live.parameters()), 1 - decay)


if __name__ == "__main__":
    main()
