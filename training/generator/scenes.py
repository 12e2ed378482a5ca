"""The small world that the embedded generator learns: one or two plain shapes on a plain ground, and its captions."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (220, 38, 38),
    "orange": (249, 140, 22),
    "yellow": (250, 216, 50),
    "green": (34, 160, 70),
    "blue": (37, 85, 225),
    "purple": (130, 50, 180),
    "pink": (250, 150, 200),
    "black": (20, 20, 24),
    "white": (248, 248, 248),
}
SHAPES = ("circle", "square", "triangle", "star", "ring", "cross")
RELATIONS = ("above", "below", "left of", "right of")
OPPOSITE = {"above": "below", "below": "above", "left of": "right of", "right of": "left of"}
SIDE = 48
MAX_TOKENS = 24
HELD_OUT = 10  # one combination in ten is never trained on
_UNSAID = 0.08  # of the captions leave open how the objects stand

_TEMPLATE_SIDE = 193
_TEMPLATE_REACH = 1.6  # templates cover −1.6 … 1.6 object radii


@dataclass(frozen=True, slots=True)
class Item:
    """One object: its words, its centre and radius in fractions of the picture's side."""

    colour: str
    shape: str
    x: float
    y: float
    radius: float


@dataclass(frozen=True, slots=True)
class Scene:
    """A picture in words: items (the first is the caption's subject), how they stand, and the background's colour."""

    items: tuple[Item, ...]
    relation: str
    background: str

    def key(self) -> str:
        """What the scene means, without place or size; the unit of the held-out split."""
        words = [f"{item.colour} {item.shape}" for item in self.items]
        return f" {self.relation} ".join(words) + f" on {self.background}"

    def held_out(self) -> bool:
        """Whether training must never see this combination (by a hash, so that both sides agree without a list)."""
        return hashlib.sha256(self.key().encode()).digest()[0] % HELD_OUT == 0


def draw_scene(rng: np.random.Generator, objects: int, background: str | None = None) -> Scene:
    """Draws a scene of one or two objects; colours may repeat between objects, never with the background."""
    background = background or str(rng.choice(list(COLOURS)))
    colours = [colour for colour in COLOURS if colour != background]
    words = [(str(rng.choice(colours)), str(rng.choice(SHAPES))) for _ in range(objects)]
    if objects == 1:
        x, y = 0.5 + rng.uniform(-0.03, 0.03, 2)
        return Scene((Item(*words[0], float(x), float(y), float(rng.uniform(0.3, 0.33))),), "", background)
    relation = str(rng.choice(RELATIONS))
    first, second = _places(rng, relation)
    radii = rng.uniform(0.19, 0.205, 2)
    return Scene(
        (Item(*words[0], *first, float(radii[0])), Item(*words[1], *second, float(radii[1]))), relation, background
    )


def draw_known(rng: np.random.Generator, single: float) -> Scene:
    """A scene to train on: none that is held out, of one object with the chance `single`."""
    while (scene := draw_scene(rng, 1 if rng.random() < single else 2)).held_out():
        pass
    return scene


def _places(rng: np.random.Generator, relation: str) -> tuple[tuple[float, float], tuple[float, float]]:
    """Centres of the first and the second object, so that the relation holds and nothing overlaps."""
    near, far = 0.26 + rng.uniform(-0.01, 0.01), 0.74 + rng.uniform(-0.01, 0.01)
    cross_first, cross_second = 0.5 + rng.uniform(-0.02, 0.02, 2)
    low, high = (near, far) if relation in ("above", "left of") else (far, near)
    if relation in ("above", "below"):
        return (float(cross_first), float(low)), (float(cross_second), float(high))
    return (float(low), float(cross_first)), (float(high), float(cross_second))


def caption(scene: Scene, rng: np.random.Generator) -> str:
    """One of the ways to say the scene; a white background may stay unsaid, an order may turn round."""
    things = [f"{_article(item.colour, rng)} {item.colour} {item.shape}" for item in scene.items]
    relation = scene.relation
    if len(things) == 2 and rng.random() < 0.3:
        things, relation = things[::-1], OPPOSITE[relation]
    if relation in ("left of", "right of") and rng.random() < 0.5:
        relation = f"to the {relation}"
    if rng.random() < _UNSAID:
        relation = "and"
    text = things[0] if len(things) == 1 else f"{things[0]} {relation} {things[1]}"
    if scene.background == "white" and rng.random() < 0.4:
        return text
    return f"{text} on {_article(scene.background, rng)} {scene.background} background"


def _article(word: str, rng: np.random.Generator) -> str:
    if rng.random() < 0.1:
        return "the"
    return "an" if word[0] in "aeiou" else "a"


def render(scenes: list[Scene], side: int = SIDE) -> tuple[Tensor, Tensor]:
    """Draws scenes with soft edges: pictures (N, 3, side, side) in −1 … 1, and where objects are (N, 1, side, side)."""
    pictures = _palette([scene.background for scene in scenes]).expand(-1, -1, side, side)
    covered = torch.zeros(len(scenes), 1, side, side)
    for index in range(max(len(scene.items) for scene in scenes)):
        chosen = [scene.items[index] if index < len(scene.items) else None for scene in scenes]
        alpha = _coverage(chosen, side)
        colour = _palette([item.colour if item else "black" for item in chosen])
        pictures = pictures * (1 - alpha) + colour * alpha
        covered = torch.maximum(covered, alpha)
    return pictures, covered


def _palette(names: list[str]) -> Tensor:
    return torch.tensor([COLOURS[name] for name in names], dtype=torch.float32)[:, :, None, None] / 127.5 - 1


def _coverage(items: list[Item | None], side: int) -> Tensor:
    """How far each pixel is inside its item, 0 … 1, one pixel of soft edge; (N, 1, side, side)."""
    index = torch.tensor([SHAPES.index(item.shape) if item else 0 for item in items])
    place = torch.tensor([(item.x, item.y, item.radius) if item else (9.0, 9.0, 0.2) for item in items])
    line = (torch.arange(side, dtype=torch.float32) + 0.5) / side
    x = (line[None, None, :] - place[:, 0, None, None]) / place[:, 2, None, None] / _TEMPLATE_REACH
    y = (line[None, :, None] - place[:, 1, None, None]) / place[:, 2, None, None] / _TEMPLATE_REACH
    grid = torch.stack(torch.broadcast_tensors(x, y), dim=-1)
    distance = functional.grid_sample(TEMPLATES[index], grid, padding_mode="border", align_corners=True)
    return torch.clamp(0.5 - distance * place[:, 2, None, None, None] * side, 0, 1)


def _templates() -> Tensor:
    """Signed distances of the unit shapes in radii, negative inside; (shapes, 1, S, S)."""
    line = np.linspace(-_TEMPLATE_REACH, _TEMPLATE_REACH, _TEMPLATE_SIDE)
    x, y = np.meshgrid(line, line)
    length = np.hypot(x, y)
    bar = np.minimum(_box(x, y, 0.3, 0.95), _box(x, y, 0.95, 0.3))
    fields = {
        "circle": length - 0.95,
        "square": _box(x, y, 0.82, 0.82),
        "triangle": _polygon(x, y, [(0.0, -0.95), (1.0, 0.8), (-1.0, 0.8)]),
        "star": _polygon(x, y, _star_corners(1.08, 0.46)),
        "ring": np.abs(length - 0.72) - 0.24,
        "cross": bar,
    }
    return torch.tensor(np.stack([fields[shape] for shape in SHAPES]), dtype=torch.float32)[:, None]


def _box(x: np.ndarray, y: np.ndarray, width: float, height: float) -> np.ndarray:
    return np.maximum(np.abs(x) - width, np.abs(y) - height)


def _star_corners(outer: float, inner: float) -> list[tuple[float, float]]:
    turns = np.arange(10) * np.pi / 5 - np.pi / 2
    radii = np.where(np.arange(10) % 2 == 0, outer, inner)
    return [(float(r * np.cos(t)), float(r * np.sin(t))) for r, t in zip(radii, turns, strict=True)]


def _polygon(x: np.ndarray, y: np.ndarray, corners: list[tuple[float, float]]) -> np.ndarray:
    """Signed distance to a simple polygon: nearest edge, and the sign by the even–odd rule."""
    nearest = np.full(x.shape, np.inf)
    inside = np.zeros(x.shape, dtype=bool)
    for (ax, ay), (bx, by) in zip(corners, corners[1:] + corners[:1], strict=True):
        along = np.clip(((x - ax) * (bx - ax) + (y - ay) * (by - ay)) / ((bx - ax) ** 2 + (by - ay) ** 2), 0, 1)
        nearest = np.minimum(nearest, np.hypot(x - ax - along * (bx - ax), y - ay - along * (by - ay)))
        if ay != by:
            inside ^= ((ay > y) != (by > y)) & (x < (bx - ax) * (y - ay) / (by - ay) + ax)
    return np.where(inside, -nearest, nearest)


TEMPLATES = _templates()
