"""Draws scenes as pixels."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from training.generator.grounds import COLOURS, TINTS, Rgb, ground
from training.generator.scenes import Item, Scene
from training.generator.shapes import REACH, SHAPES, TEMPLATES

SIDE = 64
_PERIOD = 0.125  # of the side: from stripe to stripe, from dot to dot
_STRIPE, _DOT = 0.36, 0.2  # of the period: a stripe's width, a dot's radius
NOTHING = Item("black", "circle", 9.0, 9.0, 0.2)  # out of the picture


def render(scenes: list[Scene], side: int = SIDE) -> tuple[Tensor, Tensor]:
    """Draws scenes with soft edges: pictures (N, 3, side, side) in −1 … 1, and where objects are (N, 1, side, side).

    Items are painted in the order that puts the one behind, or around, first.
    """
    pictures = torch.stack([ground(scene.ground, side) for scene in scenes])
    covered = torch.zeros(len(scenes), 1, side, side)
    layers = [painted(scene) for scene in scenes]
    for index in range(max(len(layer) for layer in layers)):
        chosen = [layer[index] if index < len(layer) else NOTHING for layer in layers]
        alpha = coverage(chosen, side)
        pictures = torch.lerp(pictures, paint(chosen, side), alpha)
        covered = torch.maximum(covered, alpha)
    return pictures, covered


def painted(scene: Scene) -> tuple[Item, ...]:
    """The items from the back to the front."""
    return scene.items[::-1] if scene.relation == "inside" else scene.items


def coverage(items: list[Item], side: int) -> Tensor:
    """How far each pixel is inside its item, 0 … 1, one pixel of soft edge; (N, 1, side, side)."""
    index = torch.tensor([SHAPES.index(item.shape) for item in items])
    place = torch.tensor([(item.x, item.y, item.radius) for item in items], dtype=torch.float32)
    line = (torch.arange(side, dtype=torch.float32) + 0.5) / side
    x = (line[None, None, :] - place[:, 0, None, None]) / place[:, 2, None, None] / REACH
    y = (line[None, :, None] - place[:, 1, None, None]) / place[:, 2, None, None] / REACH
    grid = torch.stack(torch.broadcast_tensors(x, y), dim=-1)
    distance = functional.grid_sample(TEMPLATES[index], grid, padding_mode="border", align_corners=True)
    return torch.clamp(0.5 - distance * place[:, 2, None, None, None] * side, 0, 1)


def paint(items: list[Item], side: int) -> Tensor:
    """The items' colours with their stripes and dots, (N, 3, side, side)."""
    colour = _palette(items, COLOURS)
    if not any(item.texture for item in items):
        return colour
    line = ((torch.arange(side, dtype=torch.float32) + 0.5) / side / _PERIOD) % 1 - 0.5
    soft = _PERIOD * side
    stripes = ((_STRIPE / 2 - line.abs()) * soft + 0.5).clamp(0, 1)[:, None].expand(side, side)
    dots = ((_DOT - torch.hypot(line[:, None], line[None, :])) * soft + 0.5).clamp(0, 1)
    patterns = {"": torch.zeros(side, side), "striped": stripes, "dotted": dots}
    return torch.lerp(colour, _palette(items, TINTS), torch.stack([patterns[item.texture] for item in items])[:, None])


def _palette(items: list[Item], colours: dict[str, Rgb]) -> Tensor:
    """(N, 3, 1, 1) in −1 … 1."""
    return torch.tensor([colours[item.colour] for item in items], dtype=torch.float32)[:, :, None, None] / 127.5 - 1
