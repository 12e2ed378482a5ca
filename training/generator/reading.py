"""Trains the reader, which says of a picture what is where; begins with what CLIP's network sees in it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from services.generator.scene_latents import LATENTS, LOOK, SHAPE, SLOT, SLOTS
from services.generator.scene_reader import Reader
from training.generator.codes import COLOUR_CODES, GROUND_CODES, SHAPE_CODES, TEXTURE_CODES, codes
from training.generator.learning import learn
from training.generator.pool import draw_taught
from training.generator.precision import fast
from training.generator.render import render

BATCH = 32
# Positions that show an object, and one behind it too, count so much more: the latter are few, and a small object
# inside a larger one is nowhere else.
OBJECT_WEIGHT, BOTH_WEIGHT = 3.0, 8.0
TELL_WEIGHT = 0.3


def begun(clip: Any) -> Reader:
    """A reader that sees what CLIP sees; `clip` is the network of scenes-clip."""
    reader = Reader(LATENTS)
    reader.trunk.load_state_dict(clip.visual.state_dict(), strict=False)  # its pooling is left out
    return reader


def train_reader(reader: Reader, rng: np.random.Generator, steps: int) -> Reader:
    """A trained reader, in evaluation mode."""
    reader.to(memory_format=torch.channels_last).train()
    reader.trunk.eval()  # its batch norms keep CLIP's statistics

    def error() -> Tensor:
        scenes = [draw_taught(rng) for _ in range(BATCH)]
        truth = codes(scenes)
        with fast():
            said = reader(render(scenes)[0].contiguous(memory_format=torch.channels_last))
        front, back = (truth[:, at : at + SLOT].abs().amax(dim=1) > 0 for at in (0, SLOT))
        weights = 1 + OBJECT_WEIGHT * front + BOTH_WEIGHT * back
        missed = (weights[:, None] * (said - truth).square()).mean()
        told = sum(_told(said, truth, weights, first, words) for first, words in _parts())
        return missed + TELL_WEIGHT * told

    return learn("reader", reader, [reader], error, steps, rate=0.01)


def _parts() -> list[tuple[int, Tensor]]:
    """The first channel of each word that latents say, and all that it may be, nothing last."""
    slot = ((0, SHAPE_CODES), (SHAPE, COLOUR_CODES), (SHAPE + LOOK - 1, TEXTURE_CODES))
    words = [(first, torch.stack([word for word in codes.values() if word.any()])) for first, codes in slot]
    each = [(at + first, functional.pad(known, (0, 0, 0, 1))) for at in (0, SLOT) for first, known in words]
    return [*each, (SLOTS * SLOT, torch.stack(list(GROUND_CODES.values())))]


def _told(said: Tensor, truth: Tensor, weights: Tensor, first: int, words: Tensor) -> Tensor:
    """Cross-entropy of which word it is, by how near each lies (Snell et al., "Prototypical Networks", 2017)."""
    last = first + words.shape[1]
    near = -torch.cdist(said[:, first:last].permute(0, 2, 3, 1).flatten(0, 2), words).square()
    right = torch.cdist(truth[:, first:last].permute(0, 2, 3, 1).flatten(0, 2), words).argmin(dim=1)
    error = functional.cross_entropy(near, right, reduction="none")
    return (weights.flatten() * error).sum() / weights.sum()
