"""Measures the tiny CLIP zero-shot on held-out scenes, opened as the house opens it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from services.core.artifacts import load_artifact
from services.core.open_clip_model import Tokenize, open_clip_model, open_clip_tokenizer
from services.generator.job import Rgb
from services.generator.pixels import to_bytes
from training.generator.captions import plain_caption
from training.generator.grounds import COLOURS, GROUNDS
from training.generator.render import render
from training.generator.scenes import Scene, draw_held_out
from training.generator.shapes import SHAPES

AMONG = 100  # captions that a picture's own is to be found among


class ZeroShot:
    """Pictures and sentences as the network sees them."""

    def __init__(self, folder: str = "models/scenes-clip") -> None:
        """Opens the network of a folder of the house."""
        weights, config, words = (
            load_artifact(f"{folder}/{name}")
            for name in ("open_clip_model.safetensors", "open_clip_config.json", "tokenizer.json")
        )
        self._network, self._preprocess = open_clip_model(weights, config, "scenes-clip")
        self._tokenize: Tokenize = open_clip_tokenizer(config, words, "scenes-clip")

    @torch.inference_mode()
    def choose(self, pictures: Sequence[Rgb], sentences: Sequence[str]) -> Tensor:
        """(pictures,): which of the sentences suits each picture best."""
        images = torch.stack([self._preprocess(Image.fromarray(picture)) for picture in pictures])
        seen: Any = self._network.encode_image(images, normalize=True)
        said: Any = self._network.encode_text(self._tokenize(sentences), normalize=True)
        chosen: Tensor = (seen @ said.T).argmax(dim=1)
        return chosen


def measure(rng: np.random.Generator, count: int) -> dict[str, float]:
    """Shares of pictures that got their own caption among 100, their shape, colour and ground among all there are."""
    model = ZeroShot()
    scenes = [draw_held_out(rng, 1 + index % 3) for index in range(count)]
    singles = [replace(draw_held_out(rng, 1), size="", place="") for _ in range(count)]
    found = [_own(model, scenes[at : at + AMONG]) for at in range(0, count, AMONG)]
    parts = {"shape": SHAPES, "colour": tuple(COLOURS), "ground": GROUNDS}
    told = {f"clip_{part}": _told(model, singles, part, values) for part, values in parts.items()}
    return {"clip_caption": float(np.mean(np.concatenate(found))), **told}


def _own(model: ZeroShot, scenes: list[Scene]) -> np.ndarray:
    """Whether each scene's picture finds its caption among those of all."""
    chosen = model.choose(_pictures(scenes), [plain_caption(scene) for scene in scenes])
    right: np.ndarray = (chosen == torch.arange(len(scenes))).numpy()
    return right


def _told(model: ZeroShot, scenes: list[Scene], part: str, values: Sequence[str]) -> float:
    """How often the right one of the values is chosen, all else in the sentences as it is."""
    right = []
    for scene, picture in zip(scenes, _pictures(scenes), strict=True):
        others = [_with(scene, part, value) for value in values]
        index = int(model.choose([picture], [plain_caption(other) for other in others])[0])
        right.append(others[index] == scene)
    return float(np.mean(right))


def _with(scene: Scene, part: str, value: str) -> Scene:
    if part == "ground":
        return replace(scene, ground=value)
    (item,) = scene.items
    return replace(scene, items=(replace(item, **{part: value}),))


def _pictures(scenes: list[Scene]) -> list[Rgb]:
    return [to_bytes(render([scene], 256)[0])[0].numpy() for scene in scenes]
