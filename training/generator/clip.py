"""Trains a tiny CLIP on the scenes and their captions: `python -m training.generator.clip`.

Radford et al. (2021), on open_clip's own classes, in families of scenes that differ in one thing, so that colours must
be bound to shapes; a linear layer that is thrown away afterwards must read from a picture's embedding which things are
in it, or shapes come last. Beside the weights it writes open_clip's configuration and a word tokenizer: the folder
opens with open_clip's `local-dir:` as it is.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from services.core.torch_compat import guard_torchvision
from training.generator.captions import MAX_TOKENS, caption
from training.generator.components import build_tokenizer
from training.generator.grounds import COLOURS
from training.generator.optimiser import MuonAdamW
from training.generator.pool import FAMILY, draw_pool, pictures, unit
from training.generator.precision import fast
from training.generator.render import SIDE
from training.generator.scenes import Scene
from training.generator.shapes import SHAPES

BATCH = 128
EMBEDDING = 192
VISION = {"image_size": SIDE, "layers": [1, 1, 1, 1], "width": 20, "patch_size": None}
TEXT = {"context_length": MAX_TOKENS, "width": 96, "heads": 4, "layers": 3}
MAX_SCALE = math.log(100)
READ_WEIGHT = 0.5
THINGS = {thing: index for index, thing in enumerate(product(COLOURS, SHAPES))}
_TELL = 25


def main() -> None:
    """Reads the arguments, trains, saves."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("models/scenes-clip"), help="where the model goes")
    parser.add_argument("--start", type=Path, help="a network to go on from")
    parser.add_argument("--scenes", type=int, default=40_000, help="scenes drawn once and seen again and again")
    parser.add_argument("--steps", type=int, default=4500, help=f"steps of {BATCH} scenes")
    parser.add_argument("--seed", type=int, default=21)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    rng = np.random.default_rng(arguments.seed)
    scenes = draw_pool(rng, arguments.scenes)
    network = load_clip(arguments.start) if arguments.start else build(len(build_tokenizer()))
    save(train(network, scenes, pictures(scenes, SIDE), rng, arguments.steps), arguments.out)


def build(vocabulary: int) -> Any:
    """The untrained network: a ResNet of four blocks with attention pooling, a text transformer of three layers."""
    guard_torchvision()
    import open_clip

    return open_clip.CLIP(EMBEDDING, vision_cfg=VISION, text_cfg={**TEXT, **_words(vocabulary)}, output_dict=False)


def train(network: Any, scenes: list[Scene], pixels: Tensor, rng: np.random.Generator, steps: int) -> Any:
    """The network, trained, in evaluation mode; `pixels` (N, 3, 64, 64) uint8 show the scenes."""
    tokenizer = build_tokenizer()
    network.train()
    network.visual.to(memory_format=torch.channels_last)
    reader = nn.Linear(EMBEDDING, len(THINGS))
    optimiser = MuonAdamW([network, reader], muon_rate=0.01, adam_rate=1e-3)
    shown = torch.stack([_things(scene) for scene in scenes])
    begun, total, right = time.monotonic(), 0.0, 0.0
    for step in range(1, steps + 1):
        families = rng.choice(len(scenes) // FAMILY, BATCH // FAMILY, replace=False)
        chosen = (families[:, None] * FAMILY + np.arange(FAMILY)).ravel()
        texts = [caption(scenes[index], rng) for index in chosen]
        with fast():
            seen = moved(unit(pixels[torch.from_numpy(chosen)]), rng)
            image, text, scale = network(seen, tokens(tokenizer, texts))
        image, text = image.float(), text.float()
        logits = scale * image @ text.T
        loss = (_contrast(logits) + _contrast(logits.T)) / 2
        loss = loss + READ_WEIGHT * functional.cross_entropy(
            reader(image * EMBEDDING**0.5), shown[torch.from_numpy(chosen)]
        )
        loss.backward()
        optimiser.step(min(1.0, step / 50) * max(0.02, min(1.0, 2 * (1 - step / steps))))
        with torch.no_grad():
            network.logit_scale.clamp_(0, MAX_SCALE)
        total, right = total + loss.item(), right + _right(logits)
        if step % _TELL == 0:
            seconds = time.monotonic() - begun
            print(
                f"clip: step {step} loss {total / _TELL:.3f} right {right / _TELL:.3f} seconds {seconds:.0f}",
                flush=True,
            )
            total = right = 0.0
    return network.eval()


def moved(pixels: Tensor, rng: np.random.Generator) -> Tensor:
    """The batch, moved by up to two pixels, its edges repeated."""
    down, right = (int(offset) for offset in rng.integers(0, 5, 2))
    padded = functional.pad(pixels, (2, 2, 2, 2), mode="replicate")
    return padded[:, :, down : down + SIDE, right : right + SIDE]


def tokens(tokenizer: Any, texts: list[str]) -> Tensor:
    """Token ids (N, 32)."""
    encoded = tokenizer(texts, padding="max_length", max_length=MAX_TOKENS, truncation=True, return_tensors="pt")
    ids: Tensor = encoded.input_ids
    return ids


def save(network: Any, out: Path) -> None:
    """Writes weights, open_clip's configuration and the tokenizer."""
    out.mkdir(parents=True, exist_ok=True)
    tokenizer = build_tokenizer()
    tokenizer.save_pretrained(out)
    weights = {name: value.contiguous() for name, value in network.state_dict().items()}
    save_file(weights, out / "open_clip_model.safetensors")
    text = {**TEXT, **_words(len(tokenizer)), "hf_tokenizer_name": "scenes-clip"}
    config = {
        "model_cfg": {"embed_dim": EMBEDDING, "vision_cfg": VISION, "text_cfg": text},
        "preprocess_cfg": {"mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic", "resize_mode": "squash"},
    }
    (out / "open_clip_config.json").write_text(json.dumps(config, indent=2) + "\n")


def load_clip(folder: Path) -> Any:
    """The network in `folder`, by open_clip's own loader, in evaluation mode."""
    guard_torchvision()
    import open_clip

    return open_clip.create_model_from_pretrained(f"local-dir:{folder}", return_transform=False).eval()


def _words(vocabulary: int) -> dict[str, Any]:
    """The embedding of a sentence is that of its last token, `<end>`."""
    tokenizer = build_tokenizer()
    return {
        "vocab_size": vocabulary,
        "pool_type": "eos",
        "eos_id": tokenizer.eos_token_id,
        "pad_id": tokenizer.pad_token_id,
    }


def _contrast(logits: Tensor) -> Tensor:
    return functional.cross_entropy(logits, torch.arange(len(logits)))


def _things(scene: Scene) -> Tensor:
    """Shares, which sum to 1, that the scene's objects have among all things of a colour and a shape."""
    shares = torch.zeros(len(THINGS))
    for item in scene.items:
        shares[THINGS[item.colour, item.shape]] += 1 / len(scene.items)
    return shares


def _right(logits: Tensor) -> float:
    return (logits.argmax(dim=1) == torch.arange(len(logits))).float().mean().item()


if __name__ == "__main__":
    main()
