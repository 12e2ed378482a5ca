"""Paints texts into pictures, and says where they stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Picture = NDArray[np.uint8]
Colour = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Style:
    """How a text looks: `size` is the font's in pixels, `angle` in degrees counter-clockwise, `opacity` 0…1.

    `plate` is the colour of a box behind it, `outline` that of a line around its letters; `stacked` writes the letters
    one below the other.
    """

    font: Path
    size: int
    colour: Colour
    angle: float = 0.0
    opacity: float = 1.0
    plate: Colour | None = None
    outline: Colour | None = None
    stacked: bool = False


@dataclass(frozen=True, slots=True)
class Stencil:
    """A text ready to be painted: where ink, outline, plate and words are, (h, w) uint8; how high its letters are."""

    ink: Picture
    outline: Picture
    plate: Picture
    words: Picture
    height: float


@lru_cache(256)
def font_of(path: Path, size: int) -> ImageFont.FreeTypeFont:
    """The font at a size in pixels."""
    return ImageFont.truetype(str(path), size)


def stencil(lines: Sequence[str], style: Style) -> Stencil:
    """The lines of a text, turned."""
    font = font_of(style.font, style.size)
    if style.stacked:
        lines = [letter for line in lines for letter in line]
    _, top, _, bottom = font.getbbox("H")
    height = max(bottom - top, 2)
    step = round(style.size * (1.0 if style.stacked else 1.25))
    pad = style.size // 2 + 2
    widths = [int(font.getlength(line)) for line in lines]
    size = (max(widths) + 2 * pad, step * len(lines) + 2 * pad)
    layers = [Image.new("L", size) for _ in range(3)]
    ink, outline, words = (ImageDraw.Draw(layer) for layer in layers)
    stroke = max(1, style.size // 16)
    for number, line in enumerate(lines):
        x = pad if not style.stacked else pad + (max(widths) - widths[number]) // 2
        y = pad + number * step
        ink.text((x, y), line, 255, font)
        if style.outline is not None:
            outline.text((x, y), line, 255, font, stroke_width=stroke)
        if line.strip():
            left, upper, right, lower = font.getbbox(line)
            words.rectangle((x + left, y + upper, x + right, y + lower), fill=255)
    plate = Image.new("L", size, 255 if style.plate is not None else 0)
    turned = [_turned(layer, style.angle) for layer in (layers[0], layers[1], plate, layers[2])]
    return Stencil(*turned, height=float(height))


def _turned(layer: Image.Image, angle: float) -> Picture:
    if not angle:
        return np.asarray(layer)
    return np.asarray(layer.rotate(angle, Image.Resampling.BICUBIC, expand=True))


def paint(ground: Picture, text: Stencil, style: Style, x: int, y: int) -> tuple[Picture, Picture]:
    """The picture with the text's upper left corner at (x, y), and where its words stand, (h, w) uint8 0 or 255."""
    out, where = ground.copy(), np.zeros(ground.shape[:2], np.uint8)
    h, w = text.ink.shape
    left, top = max(0, x), max(0, y)
    right, bottom = min(ground.shape[1], x + w), min(ground.shape[0], y + h)
    if right <= left or bottom <= top:
        return out, where
    cut = (slice(top - y, bottom - y), slice(left - x, right - x))
    spot = (slice(top, bottom), slice(left, right))
    part = out[spot].astype(np.float32)
    for layer, colour in ((text.plate, style.plate), (text.outline, style.outline), (text.ink, style.colour)):
        if colour is not None:
            alpha = layer[cut][..., None].astype(np.float32) * (style.opacity / 255)
            part = part * (1 - alpha) + np.asarray(colour, np.float32) * alpha
    out[spot] = np.clip(part, 0, 255).astype(np.uint8)
    where[spot] = (text.words[cut] > 127) * np.uint8(255)
    return out, where


def contrast(ground: Picture, where: Picture, colour: Colour) -> float:
    """How far a colour stands off what is under `where`: the mean distance in RGB, 0…441."""
    under = ground[where > 0]
    if not len(under):
        return 0.0
    return float(np.linalg.norm(under.astype(np.float32) - np.asarray(colour, np.float32), axis=1).mean())


def legible_fonts(folders: Sequence[Path]) -> list[Path]:
    """Fonts under the folders that have Latin letters of their own shapes, one of each family."""
    from fontTools.ttLib import TTFont

    chosen: dict[str, Path] = {}
    wanted = {ord(letter) for letter in "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"}
    for path in sorted(p for folder in folders for p in folder.rglob("*") if p.suffix in (".ttf", ".otf")):
        font = TTFont(path, lazy=True, fontNumber=0)
        name = str(font["name"].getDebugName(1))
        odd = ("Symbol", "Dingbat", "D050000L", "Last Resort", "cmex", "cmmi", "cmsy", "STIXSize", "STIXNon")
        style = path.stem.lower()
        if wanted <= set(font.getBestCmap() or {}) and not any(word in name for word in odd):
            key = (
                name.split(" ")[0]
                + ("b" if "bold" in style else "")
                + ("i" if "ital" in style or "obli" in style else "")
            )
            chosen.setdefault(key, path)
    return list(chosen.values())


def softened(picture: Picture, blur: float, quality: int) -> Picture:
    """Blurred by a Gaussian (σ in pixels, 0: not) and saved as JPEG of a quality (0: not)."""
    if blur > 0:
        picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), blur), np.uint8)
    if quality:
        _, data = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
        picture = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1], np.uint8)
    return picture
