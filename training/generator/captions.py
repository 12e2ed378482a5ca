"""What is said of a scene: one of many ways, and the plainest."""

from __future__ import annotations

import numpy as np

from training.generator.grounds import COLOURS
from training.generator.scenes import OPPOSITE, PLACES, RELATIONS, SIZES, TEXTURES, Item, Scene
from training.generator.shapes import SHAPES

MAX_TOKENS = 32
_UNSAID = 0.05  # of the captions of two leave open how the objects stand
_WHERE = {
    "sky": ("in the sky",),
    "sea": ("at sea", "on the sea"),
    "meadow": ("in a meadow", "on a meadow"),
    "night": ("at night", "in the night"),
    "desert": ("in the desert", "in a desert"),
}


def caption(scene: Scene, rng: np.random.Generator) -> str:
    """One of the ways to say the scene; a white ground may stay unsaid, an order may turn round."""
    words = [_said(item, scene.size, rng) for item in scene.items]
    relation = scene.relation
    if relation in OPPOSITE and rng.random() < 0.3:
        words, relation = words[::-1], OPPOSITE[relation]
    if relation in ("left of", "right of") and rng.random() < 0.5:
        relation = f"to the {relation}"
    if len(words) == 2 and rng.random() < _UNSAID:
        relation = "and"
    ways = _ways(scene.ground)
    where = ways[int(rng.integers(len(ways)))]
    if scene.ground == "white" and rng.random() < 0.3:
        where = ""
    if rng.random() < 0.1:
        where = where.replace(" a ", " the ").replace(" an ", " the ")
    said = _join(words, relation, scene.place, where)
    return said.replace(",", "") if rng.random() < 0.5 else said  # the service drops what is no word


def plain_caption(scene: Scene) -> str:
    """The one caption that says everything."""
    words = [_described(item, scene.size) for item in scene.items]
    said = [f"{_article(each)} {each}" for each in words]
    return _join(said, scene.relation, scene.place, _ways(scene.ground)[0])


def words() -> tuple[str, ...]:
    """Every word that a caption can have."""
    phrases = ("a an the and , to background", *RELATIONS, *SIZES, *TEXTURES, *PLACES)
    ways = (way for ways in _WHERE.values() for way in ways)
    return tuple(dict.fromkeys(" ".join((*phrases, *ways, *COLOURS, *SHAPES)).split()))


def _join(words: list[str], relation: str, place: str, where: str) -> str:
    things = f" {relation} ".join(words) if len(words) < 3 else f"{words[0]}, {words[1]} and {words[2]}"
    return " ".join(part for part in (things, place, where) if part)


def _said(item: Item, size: str, rng: np.random.Generator) -> str:
    words = _described(item, size)
    return f"{'the' if rng.random() < 0.1 else _article(words)} {words}"


def _described(item: Item, size: str) -> str:
    return " ".join(word for word in (size, item.texture, item.colour, item.shape) if word)


def _ways(ground: str) -> tuple[str, ...]:
    if ground in COLOURS:
        return (f"on {_article(ground)} {ground} background",)
    return _WHERE[ground]


def _article(word: str) -> str:
    return "an" if word[0] in "aeiou" else "a"
