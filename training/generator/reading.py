"""Trains the reader, which says of a picture what is where; begins with what CLIP's network sees in it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from services.generator.scene_autoencoder import Reader
from services.generator.scene_latents import SHAPE, SLOT, SLOTS
from training.generator.codes import COLOUR_CODES, GROUND_CODES, SHAPE_CODES, codes
from training.generator.learning import learn
from training.generator.pool import SHARES
from training.generator.precision import fast
from training.generator.render import render
from training.generator.scenes import draw_known

BATCH = 32
OBJECT_WEIGHT = 4.0
TELL_WEIGHT = 0.3


def train_reader(clip: Any, rng: np.random.Generator, steps: int) -> Reader:
    """A trained reader, in evaluation mode; `clip` is the network of scenes-clip."""
    reader = Reader()
    reader.trunk.load_state_dict(clip.visual.state_dict(), strict=False)
    reader.to(memory_format=torch.channels_last).train()
    reader.trunk.eval()  # its batch norms keep CLIP's statistics

    def error() -> Tensor:
        scenes = [draw_known(rng, SHARES) for _ in range(BATCH)]
        truth = codes(scenes)
        with fast():
            said = reader(render(scenes)[0].contiguous(memory_format=torch.channels_last))
        weights = 1 + (OBJECT_WEIGHT - 1) * (truth[:, : SLOTS * SLOT].abs().amax(dim=1, keepdim=True) > 0).float()
        missed = (weights * (said - truth).square()).mean()
        told = sum(_told(said, truth, first, words) for first, words in _parts())
        return missed + TELL_WEIGHT * told

    return learn("reader", reader, [reader], error, steps, rate=0.01)


def _parts() -> list[tuple[int, Tensor]]:
    """The first channel of each word that latents say, and all that it may be."""
    looks = list(COLOUR_CODES.values())
    shapes, colours = (
        torch.stack([*words, torch.zeros_like(words[0])]) for words in (list(SHAPE_CODES.values()), looks)
    )
    slots = [(first + slot * SLOT, words) for slot in range(SLOTS) for first, words in ((0, shapes), (SHAPE, colours))]
    return [*slots, (SLOTS * SLOT, torch.stack(list(GROUND_CODES.values())))]


def _told(said: Tensor, truth: Tensor, first: int, words: Tensor) -> Tensor:
    """Cross-entropy of which word it is, by how near each lies (Snell et al., "Prototypical Networks", 2017)."""
    last = first + words.shape[1]
    near = -torch.cdist(said[:, first:last].permute(0, 2, 3, 1).flatten(0, 2), words).square()
    right = torch.cdist(truth[:, first:last].permute(0, 2, 3, 1).flatten(0, 2), words).argmin(dim=1)
    weights = 1 + (OBJECT_WEIGHT - 1) * (right != len(words) - 1).float()
    return (weights * functional.cross_entropy(near, right, reduction="none")).sum() / weights.sum()
