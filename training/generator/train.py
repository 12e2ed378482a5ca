"""Trains the embedded generator from nothing but rendered scenes: `python -m training.generator.train`.

What latents say is known of every scene, so `training.generator.autoencoder`, which makes pixels of them and reads them
in uploads, can run beside this. Variations are learnt from what other pictures of the same things show. OUT holds a
usable model once both are done. After a break the same command goes on from STATE. Several cores share the batches:
`torchrun --nproc-per-node 2 -m training.generator.train`.
"""

from __future__ import annotations

import argparse
import copy
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, distributed

from services.core.artifacts import MODELS
from services.generator.scene_latents import SLOT, things
from training.generator import components
from training.generator.captions import MAX_TOKENS, caption
from training.generator.codes import codes
from training.generator.learning import EMA, follow
from training.generator.optimiser import MuonAdamW
from training.generator.pool import draw_pool
from training.generator.precision import fast
from training.generator.scenes import Scene, lay_out_anew
from training.manifest import record

BATCH = 64
SAY, SHOW = 0.5, 0.45  # of the scenes come with their caption alone, with what another picture shows alone
SNR = (0.05, 1.0)  # signal to noise, between which lessons count by its square root
OBJECT_WEIGHT = 3.0  # positions that show objects count so much more than the ground
SAVE_EVERY = 250


def main() -> None:
    """Reads the arguments, trains, saves."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("models/scenes"), help="where the model goes")
    parser.add_argument("--vae", type=Path, default=Path("out/scenes/vae"), help="from training.generator.autoencoder")
    parser.add_argument("--init", type=Path, help="a model to go on from")
    parser.add_argument("--state", type=Path, default=Path("out/scenes/diffusion.pt"), help="what was reached so far")
    parser.add_argument("--steps", type=int, default=20_000, help=f"steps of {BATCH} scenes")
    parser.add_argument("--scenes", type=int, default=60_000, help="scenes drawn once and seen again and again")
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if distributed.is_torchelastic_launched():
        distributed.init_process_group("gloo")
    lessons = prepare(np.random.default_rng(arguments.seed), arguments.scenes)
    torch.manual_seed(arguments.seed)
    rng = np.random.default_rng(arguments.seed + _rank())
    train(arguments.out, lessons, rng, arguments.steps, arguments.state, arguments.init)
    if _rank() == 0:
        finish(arguments.out, arguments.vae)


@dataclass(frozen=True, slots=True)
class Lessons:
    """Scenes, what their latents say (N, 31, 8, 8), and what other pictures of the same things show (N, 192)."""

    scenes: list[Scene]
    latents: Tensor
    shown: Tensor


@torch.no_grad()
def prepare(rng: np.random.Generator, count: int) -> Lessons:
    """Draws `count` scenes."""
    scenes = draw_pool(rng, count)
    latents, shown = [], []
    begun = time.monotonic()
    for at in range(0, count, 500):
        part = scenes[at : at + 500]
        latents.append(codes(part).half())
        elsewhere = codes([lay_out_anew(rng, scene) for scene in part])
        shown.append(things(elsewhere, components.IMAGE_EMBEDDING))
    print(f"lessons: {count} scenes in {time.monotonic() - begun:.0f} seconds", flush=True)
    return Lessons(scenes, torch.cat(latents), torch.cat(shown))


def train(out: Path, lessons: Lessons, rng: np.random.Generator, steps: int, state: Path, start: Path | None) -> None:
    """Trains text encoder and UNet, on from `state` or else from the model `start`; saves the mean of their weights."""
    tokenizer, scheduler = components.build_tokenizer(), components.build_scheduler()
    begin = components.load_networks(start) if start else components.build_networks(tokenizer)
    begin[1].to(memory_format=torch.channels_last)
    torch.manual_seed(torch.initial_seed() + _rank())  # noise differs from process to process, networks do not
    live = torch.nn.ModuleList(begin).train()
    mean = copy.deepcopy(live).eval().requires_grad_(False)
    optimiser = MuonAdamW(list(live), muon_rate=0.012, adam_rate=1.2e-3)
    first = _restore(state, live, mean, optimiser) if state.exists() else 0
    begun, total, batch = time.monotonic(), 0.0, BATCH // _processes()
    for step in range(first + 1, steps + 1):
        chosen = rng.choice(len(lessons.scenes), batch)
        texts, shown = _conditions(lessons, chosen, rng)
        clean = lessons.latents[torch.from_numpy(chosen)].float()
        loss = _loss(live[0], live[1], scheduler.alphas_cumprod, _tokenize(tokenizer, texts), shown, clean)
        loss.backward()
        _average(live)
        optimiser.step(_rate(step, steps))
        follow(mean, live, min(EMA, 1 - 10 / (10 + step)))
        total += loss.item()
        if _rank() == 0 and step % 50 == 0:
            print(f"diffusion: step {step} loss {total / 50:.4f} seconds {time.monotonic() - begun:.0f}", flush=True)
            total = 0.0
        if _rank() == 0 and (step % SAVE_EVERY == 0 or step == steps):
            fresh = components.build_tokenizer()  # one that was used keeps how it was
            components.save(out, tokenizer=fresh, text_encoder=mean[0], unet=mean[1], scheduler=scheduler)
            _keep(state, step, live, mean, optimiser)


def finish(out: Path, vae: Path) -> None:
    """Puts the autoencoder and the card beside the trained parts and, where the model ships with the house, digests."""
    from services.generator.scene_autoencoder import SceneAutoencoder

    components.save(out, vae=SceneAutoencoder.from_pretrained(vae, use_safetensors=True))
    shutil.copy(Path(__file__).with_name("portcullis.json"), out)
    if out.resolve().is_relative_to(MODELS):
        record(*(path for path in out.rglob("*") if path.is_file() and path.suffix != ".md"))


def _rank() -> int:
    return distributed.get_rank() if distributed.is_initialized() else 0


def _processes() -> int:
    return distributed.get_world_size() if distributed.is_initialized() else 1


def _average(network: torch.nn.Module) -> None:
    """Gives all processes the mean of their gradients."""
    if _processes() == 1:
        return
    gradients = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
    joined = torch.cat([gradient.flatten() for gradient in gradients])
    distributed.all_reduce(joined)
    parts = (joined / _processes()).split([gradient.numel() for gradient in gradients])
    for gradient, part in zip(gradients, parts, strict=True):
        gradient.copy_(part.view(gradient.shape))


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
) -> Tensor:
    """Squared error of the clean latents, predicted from noisy ones."""
    # One time in each of as many equal parts: less chance in the mean over the batch.
    times = ((torch.arange(len(clean)) + torch.rand(len(clean))) * (len(kept) / len(clean))).long()
    signal = kept[times][:, None, None, None]
    noisy = signal.sqrt() * clean + (1 - signal).sqrt() * torch.randn_like(clean)
    with fast():
        said = text_encoder(tokens).last_hidden_state
        guess = unet(noisy, times, said, added_cond_kwargs={"image_embeds": shown}).sample
    # Less where noise drowns everything (after Hang et al., "Min-SNR", 2023).
    objects = (clean[:, :SLOT].abs().amax(dim=1, keepdim=True) > 0).float()
    weights = (signal / (1 - signal)).clamp(*SNR).sqrt() * (1 + (OBJECT_WEIGHT - 1) * objects)
    error: Tensor = (weights * (guess.float() - clean).square()).sum() / weights.sum() / clean.shape[1]
    return error


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


if __name__ == "__main__":
    main()
