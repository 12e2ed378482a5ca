"""Examples for the text finder: grounds of every kind, most of them with texts painted in, each with its map."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from math import log2
from pathlib import Path

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from training.text_finder.network import STRIDE, UNIT_HEIGHT
from training.text_finder.paint import Colour, Picture, Style, contrast, paint, softened, stencil

SIDE = 256
_LEGIBLE_HEIGHT, _LEGIBLE_CONTRAST = 6.0, 28.0  # what is smaller or fainter counts neither as text nor as none
_UNKNOWN = 255


@dataclass(frozen=True, slots=True)
class Example:
    """A picture (256, 256, 3), and for its 16 × 16 cells: 1 text, 0 none, 255 unknown; log2 of the letter height."""

    pixels: Picture
    text: Picture
    height: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Supplies:
    """What examples are made of: photographs without text, fonts, words."""

    photos: Sequence[Picture]
    fonts: Sequence[Path]
    words: Sequence[str]


def example(rng: Generator, supplies: Supplies) -> Example:
    """One example; every third has no text."""
    pixels = ground(rng, supplies.photos)
    cells = SIDE // STRIDE
    text, height = np.zeros((cells, cells), np.uint8), np.zeros((cells, cells), np.float32)
    blur = float(rng.choice([0, 0, 0.5, 0.8, 1.2]))
    for _ in range(rng.choice([0, 1, 1, 2])):
        style = _style(rng, supplies.fonts)
        drawn = stencil(_lines(rng, supplies.words, style), style)
        high, wide = drawn.ink.shape
        x, y = (int(rng.integers(min(0, SIDE - n) - n // 4, max(1, SIDE - n // 2))) for n in (wide, high))
        painted, where = paint(pixels, drawn, style, x, y)
        under = np.full_like(pixels, style.plate) if style.plate else pixels
        seen = contrast(under, where, style.colour) * style.opacity
        share = cv2.resize(where.astype(np.float32) / 255, (cells, cells), interpolation=cv2.INTER_AREA)
        legible = drawn.height >= _LEGIBLE_HEIGHT * (1 + blur / 2) and seen >= _LEGIBLE_CONTRAST
        pixels = painted
        text[share > 0.03] = _UNKNOWN
        if legible:
            text[share > 0.25] = 1
            height[share > 0.25] = log2(drawn.height / UNIT_HEIGHT)
    pixels = softened(pixels, blur, int(rng.choice([0, 0, 40, 60, 80, 92])))
    return Example(pixels, text, height)


def ground(rng: Generator, photos: Sequence[Picture]) -> Picture:
    """What texts are painted on, and what has none: (256, 256, 3)."""
    kind = rng.random()
    if kind < 0.55:
        picture = photos[rng.integers(len(photos))]
        side = int(min(picture.shape[:2]) * rng.uniform(0.3, 1.0))
        y, x = (int(rng.integers(0, n - side + 1)) for n in picture.shape[:2])
        return _shaken(rng, _sized(picture[y : y + side, x : x + side]))
    if kind < 0.7:
        return _plain(rng)
    return _shaken(rng, _pattern(rng) if kind < 0.88 else _drawing(rng))


def _sized(picture: Picture) -> Picture:
    return np.asarray(cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.uint8)


def _shaken(rng: Generator, picture: Picture) -> Picture:
    """Another brightness and contrast, sometimes grey, sometimes noisy."""
    out = picture.astype(np.float32) * rng.uniform(0.5, 1.3) + rng.uniform(-30, 40)
    if rng.random() < 0.2:
        out = np.repeat(out.mean(axis=2, keepdims=True), 3, axis=2)
    if rng.random() < 0.25:
        out += rng.normal(0, rng.uniform(2, 14), out.shape).astype(np.float32)
    return np.clip(out, 0, 255).astype(np.uint8)


def colour(rng: Generator) -> Colour:
    """Black, white or anything."""
    kind = rng.random()
    if kind < 0.2:
        return (0, 0, 0)
    if kind < 0.4:
        return (255, 255, 255)
    red, green, blue = (int(v) for v in rng.integers(0, 256, 3))
    return red, green, blue


def _plain(rng: Generator) -> Picture:
    """One colour, or from one colour to another."""
    ends = np.array([colour(rng), colour(rng)], np.float32)
    slope = np.linspace(0, rng.choice([0.0, 0.3, 1.0]), SIDE, dtype=np.float32)[:, None]
    row = ends[0] * (1 - slope) + ends[1] * slope
    picture = np.repeat(row[:, None], SIDE, axis=1).astype(np.uint8)
    return picture if rng.random() < 0.5 else np.ascontiguousarray(picture.transpose(1, 0, 2))


def _pattern(rng: Generator) -> Picture:
    """What is regular and no text: bricks, fences, grids, windows, stripes, dots, leaves, waves."""
    picture = _plain(rng)
    step, ink = int(rng.integers(5, 48)), colour(rng)
    thick = max(1, int(step * rng.uniform(0.08, 0.5)))
    kind = int(rng.integers(0, 7))
    if kind == 0:  # bricks
        for row, y in enumerate(range(0, SIDE, step)):
            cv2.line(picture, (0, y), (SIDE, y), ink, max(1, thick // 3))
            for x in range((row % 2) * step, SIDE, 2 * step):
                cv2.line(picture, (x, y), (x, y + step), ink, max(1, thick // 3))
    elif kind == 1:  # bars, crossed or not
        for at in range(0, SIDE, step):
            cv2.line(picture, (at, 0), (at, SIDE), ink, thick)
            if rng.random() < 0.5:
                cv2.line(picture, (0, at), (SIDE, at), ink, thick)
    elif kind == 2:  # windows
        w, h = (max(2, int(step * rng.uniform(0.3, 0.8))) for _ in range(2))
        for y in range(0, SIDE, step):
            for x in range(0, SIDE, step):
                cv2.rectangle(picture, (x, y), (x + w, y + h), ink, -1 if rng.random() < 0.9 else 1)
    elif kind == 3:  # dots
        for y in range(0, SIDE, step):
            for x in range(0, SIDE, step):
                cv2.circle(picture, (x, y), max(1, thick), ink, -1)
    elif kind == 4:  # leaves, grass, twigs
        for _ in range(int(rng.integers(60, 500))):
            x, y = (int(v) for v in rng.integers(0, SIDE, 2))
            axes = (int(rng.integers(1, step // 2 + 2)), int(rng.integers(1, step // 4 + 2)))
            shade = tuple(int(np.clip(v + rng.integers(-60, 60), 0, 255)) for v in ink)
            cv2.ellipse(
                picture, (x, y), axes, float(rng.uniform(0, 180)), 0, 360, shade, -1 if rng.random() < 0.7 else 1
            )
    elif kind == 5:  # clouds and skins: noise of several scales
        total = np.zeros((SIDE, SIDE), np.float32)
        for scale in (4, 8, 16, 32, 64, 128):
            rough = rng.normal(0, scale ** -rng.uniform(0.2, 1.0), (scale, scale)).astype(np.float32)
            total += cv2.resize(rough, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
        share = (total - total.min()) / (np.ptp(total) + 1e-6)
        picture = (picture * (1 - share[..., None]) + np.array(ink) * share[..., None]).astype(np.uint8)
    else:  # waves
        at = np.arange(SIDE, dtype=np.float32)
        wave = np.sin(at[:, None] * rng.uniform(0.02, 0.9) + at[None] * rng.uniform(0.02, 0.9)) > rng.uniform(-0.5, 0.5)
        picture[wave] = ink
    if rng.random() < 0.5:
        turn = cv2.getRotationMatrix2D((SIDE / 2, SIDE / 2), float(rng.uniform(-45, 45)), 1.45)
        picture = np.asarray(cv2.warpAffine(picture, turn, (SIDE, SIDE)), np.uint8)
    return picture


def _drawing(rng: Generator) -> Picture:
    """Shapes and lines at random, as drawn scenes and logos have them."""
    picture = _plain(rng)
    for _ in range(int(rng.integers(2, 30))):
        ends = [(int(x), int(y)) for x, y in rng.integers(-20, SIDE + 20, (int(rng.integers(2, 6)), 2))]
        ink, thick = colour(rng), int(rng.integers(1, 9))
        kind = int(rng.integers(0, 4))
        if kind == 0:
            cv2.circle(picture, ends[0], int(rng.integers(2, 70)), ink, -1 if rng.random() < 0.6 else thick)
        elif kind == 1:
            cv2.rectangle(picture, ends[0], ends[1], ink, -1 if rng.random() < 0.6 else thick)
        elif kind == 2:
            cv2.fillPoly(picture, [np.array(ends)], ink)
        else:
            cv2.polylines(picture, [np.array(ends)], rng.random() < 0.5, ink, thick, cv2.LINE_AA)
    return picture


def _style(rng: Generator, fonts: Sequence[Path]) -> Style:
    size = int(np.exp(rng.uniform(np.log(7), np.log(110))))
    angle = float(rng.choice([0, 0, 0, 90, 180, 270])) + float(rng.choice([0, 0, 1])) * float(rng.uniform(-50, 50))
    style = Style(
        fonts[rng.integers(len(fonts))], size, colour(rng), angle, float(rng.choice([1, 1, 1, 0.7, 0.45, 0.3]))
    )
    kind = rng.random()
    if kind < 0.2:
        return replace(style, plate=colour(rng))
    if kind < 0.35:
        return replace(style, outline=colour(rng))
    return replace(style, stacked=True) if kind < 0.42 else style


def _lines(rng: Generator, words: Sequence[str], style: Style) -> list[str]:
    """One to four lines of one to five words, numbers and signs."""

    def word() -> str:
        if rng.random() < 0.08:
            return str(rng.choice(["!", "?", "&", "#", "@", "...", "-", "%"]))
        return str(int(rng.integers(0, 10_000))) if rng.random() < 0.1 else words[rng.integers(len(words))]

    lines = [
        " ".join(word() for _ in range(rng.integers(1, 6))) for _ in range(1 if style.stacked else rng.integers(1, 5))
    ]
    case = rng.random()
    if case < 0.4:
        return [line.upper() for line in lines]
    return [line.capitalize() for line in lines] if case < 0.7 else lines


def supplies_of(photos: Sequence[Path], fonts: Sequence[Path]) -> Supplies:
    """Photographs read from their files, and the ten thousand commonest English words."""
    pictures = [np.asarray(cv2.imread(str(path))[..., ::-1], np.uint8) for path in photos]
    listed = gzip.decompress(files("services.prompt_filter").joinpath("data/english.txt.gz").read_bytes()).decode()
    words = [word for word in listed.split() if word.isascii()][:10_000]
    return Supplies(pictures, fonts, words)
