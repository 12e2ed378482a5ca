"""The small world that the embedded generator learns: one to three shapes on a ground."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import numpy as np

from services.generator.scene_latents import ASIDE, LARGE
from training.generator.grounds import COLOURS, GROUNDS, fits
from training.generator.shapes import SHAPES

RELATIONS = ("above", "below", "left of", "right of", "inside", "behind")
OPPOSITE = {"above": "below", "below": "above", "left of": "right of", "right of": "left of"}
SIZES = {"small": 0.1475, "": 0.2225, "large": 0.325}  # radii in sides of the picture
TEXTURES = ("striped", "dotted")
PLACES = {
    "at the top left": (-1, -1),
    "at the top": (0, -1),
    "at the top right": (1, -1),
    "on the left": (-1, 0),
    "in the centre": (0, 0),
    "on the right": (1, 0),
    "at the bottom left": (-1, 1),
    "at the bottom": (0, 1),
    "at the bottom right": (1, 1),
}
# What a smaller object can lie inside of: solid in the middle, or open there.
CONTAINERS = ("circle", "square", "triangle", "star", "ring", "heart")
# What can show from behind another: enough of it must be left to be told.
BEHIND = ("circle", "square", "triangle", "ring", "sun", "flower", "cloud")
HELD_OUT = 10  # one combination in ten is never trained on
MARGIN = 0.02  # of the side, free around every object
# Middles lie on a raster, half a latent position wide, and radii are few: so that a shape has few faces to be learnt.
RASTER = 16
_TRIES = 100  # for another layout
_ANYWHERE, _TEXTURED = 0.35, 0.25  # of the single objects: no place is said; stripes or dots


@dataclass(frozen=True, slots=True)
class Item:
    """One object: its words, its centre and radius in fractions of the picture's side."""

    colour: str
    shape: str
    x: float
    y: float
    radius: float
    texture: str = ""


@dataclass(frozen=True, slots=True)
class Scene:
    """A picture in words: items (the first is the caption's subject), how they stand, the ground.

    `size` and `place` are the single object's, as said (empty: not said).
    """

    items: tuple[Item, ...]
    relation: str
    ground: str
    size: str = ""
    place: str = ""

    def key(self) -> str:
        """What the scene means, without place, size or texture; the unit of the held-out split."""
        words = [f"{item.colour} {item.shape}" for item in self.items]
        return f" {self.relation} ".join(words) + f" on {self.ground}"

    def held_out(self) -> bool:
        """Whether training must never see this combination (by a hash, so that both sides agree without a list)."""
        return hashlib.sha256(self.key().encode()).digest()[0] % HELD_OUT == 0


def draw_scene(rng: np.random.Generator, objects: int, ground: str | None = None) -> Scene:
    """Draws a scene of one to three objects, whose colours differ from the ground's."""
    ground = ground or _choose(rng, GROUNDS)
    relation = ("", "", _choose(rng, RELATIONS), "and")[objects]
    shapes = [_choose(rng, _shapes(relation, index)) for index in range(objects)]
    texture = _choose(rng, TEXTURES) if objects == 1 and rng.random() < _TEXTURED else ""
    fitting = [colour for colour in COLOURS if fits(colour, texture, ground)]
    colours = rng.choice(fitting, objects, replace=relation not in ("inside", "behind"))
    words = zip(colours, shapes, strict=True)
    items = tuple(Item(str(colour), shape, 0.5, 0.5, 0.2, texture) for colour, shape in words)
    return lay_out(rng, Scene(items, relation, ground))


def lay_out(rng: np.random.Generator, scene: Scene) -> Scene:
    """The same things in other places and sizes that suit the relation; a single one may be said to be where it is."""
    match scene.relation:
        case "":
            return _single(rng, scene)
        case "inside":
            places = _inside(rng)
        case "behind":
            places = _behind(rng)
        case "and":
            places = _three(rng)
        case relation:
            places = _apart(rng, relation)
    return _placed(scene, places)


def lay_out_anew(rng: np.random.Generator, scene: Scene) -> Scene:
    """The same things laid out otherwise: a single one opposite, three in the other rows, one behind on its other side.

    So that which goes where follows from the one layout for the other, as far as one can be another at all.
    """
    other = lay_out(rng, scene)
    for _ in range(_TRIES):
        if _is_otherwise(scene, other):
            break
        other = lay_out(rng, scene)
    return other


def draw_known(rng: np.random.Generator, shares: tuple[float, float, float]) -> Scene:
    """A scene to train on: none that is held out, of one, two or three objects with these chances."""
    while (scene := draw_scene(rng, int(rng.choice([1, 2, 3], p=shares)))).held_out():
        pass
    return scene


def draw_held_out(rng: np.random.Generator, objects: int) -> Scene:
    """A scene that training never saw."""
    while not (scene := draw_scene(rng, objects)).held_out():
        pass
    return scene


def can_be(scene: Scene) -> bool:
    """Whether all in the scene can be told apart: colours from the ground, what lies inside, what shows behind."""
    first, last = scene.items[0], scene.items[-1]
    if not all(fits(item.colour, item.texture, scene.ground) for item in scene.items):
        return False
    if scene.relation in ("inside", "behind") and first.colour == last.colour:
        return False
    return {"inside": last.shape in CONTAINERS, "behind": first.shape in BEHIND}.get(scene.relation, True)


def _is_otherwise(scene: Scene, other: Scene) -> bool:
    first, there = scene.items[0], other.items[0]
    match scene.relation:
        case "and":
            return other.items[1].y != scene.items[1].y
        case "behind":
            return (first.x < 0.5) != (there.x < 0.5)
        case "":
            opposite = [-step for step in _sides(first)]
            centred = not any(opposite)
            return _sides(there) == opposite and not (centred and (first.radius > LARGE) == (there.radius > LARGE))
    return True


def _sides(item: Item) -> list[int]:
    """To which side of the picture's middle it is, across and down, −1 … 1."""
    return [max(-1, min(1, round((middle - 0.5) / ASIDE))) for middle in (item.x, item.y)]


def _shapes(relation: str, index: int) -> tuple[str, ...]:
    return {("inside", 1): CONTAINERS, ("behind", 0): BEHIND}.get((relation, index), SHAPES)


def _placed(scene: Scene, places: tuple[Place, ...]) -> Scene:
    items = (replace(item, x=x, y=y, radius=r) for item, (x, y, r) in zip(scene.items, places, strict=True))
    return replace(scene, items=tuple(items))


def _single(rng: np.random.Generator, scene: Scene) -> Scene:
    """A textured one is never small, or nobody could tell."""
    (item,) = scene.items
    size = _choose(rng, tuple(SIZES)[bool(item.texture) :])
    place = "" if rng.random() < _ANYWHERE else _choose(rng, tuple(PLACES))
    radius = SIZES[size]
    x, y = (0.5 + int((0.5 - radius - MARGIN) * step * RASTER) / RASTER for step in _steps(rng, place))
    return replace(_placed(scene, ((x, y, radius),)), size=size, place=place)


def _steps(rng: np.random.Generator, place: str) -> list[float]:
    """How far from the middle to the edge, −1 … 1, across and down."""
    if not place:
        return [float(step) for step in rng.uniform(-1, 1, 2)]
    return [float(step * rng.uniform(0.85, 1.0)) for step in PLACES[place]]


Place = tuple[float, float, float]


def _apart(rng: np.random.Generator, relation: str) -> tuple[Place, Place]:
    """Side by side or one over the other, free of each other."""
    radii = [float(rng.choice((0.18, 0.21))) for _ in range(2)]
    along = (0.75, 0.25) if relation in ("below", "right of") else (0.25, 0.75)
    across = [0.5 + _nudge(rng) for _ in range(2)]
    x, y = (across, along) if relation in ("above", "below") else (along, across)
    return (x[0], y[0], radii[0]), (x[1], y[1], radii[1])


def _three(rng: np.random.Generator) -> tuple[Place, ...]:
    """Two in one row and one in the other, in the order that one reads in.

    In any order, much more training would be needed until each is drawn once, and none twice.
    """
    lone, pair = (0.25, 0.75) if rng.random() < 0.5 else (0.75, 0.25)
    inwards = [abs(_nudge(rng)) for _ in range(2)]
    middles = [(0.5 + _nudge(rng), lone), (0.25 + inwards[0], pair), (0.75 - inwards[1], pair)]
    return tuple((x, y, 0.1725) for x, y in sorted(middles, key=lambda middle: middle[::-1]))


def _inside(rng: np.random.Generator) -> tuple[Place, Place]:
    """The first in the middle of the second."""
    x, y = 0.5 + _nudge(rng), 0.5 + _nudge(rng)
    outer = float(rng.choice((0.38, 0.41)))
    return (x, y, 0.34 * outer), (x, y, outer)


def _behind(rng: np.random.Generator) -> tuple[Place, Place]:
    """The second, smaller, covers a lower corner of the first."""
    side = 1 if rng.random() < 0.5 else -1
    x, y = 0.5 - side * (0.0625 + abs(_nudge(rng))), 0.375 + abs(_nudge(rng))
    return (x, y, 0.3), (x + side * 0.25, y + 0.25, float(rng.choice((0.175, 0.19))))


def _nudge(rng: np.random.Generator) -> float:
    """A step of the raster to either side, or none."""
    return int(rng.integers(-1, 2)) / RASTER


def _choose(rng: np.random.Generator, options: tuple[str, ...]) -> str:
    return options[int(rng.integers(len(options)))]
