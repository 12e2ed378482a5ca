"""Pictures that are not photographs, made here: vector faces, shaded heads, flat scenes, pages, filters over photos.

All take a numpy Generator and give grey or RGB uint8 arrays; the model is colour-blind.
"""

from __future__ import annotations

import colorsys
from collections.abc import Callable

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Picture = NDArray[np.uint8]
Colour = tuple[int, int, int]

SIDE = 192
_SKIN = [(255, 219, 172), (241, 194, 125), (224, 172, 105), (198, 134, 66), (141, 85, 36), (90, 56, 37)]


def _colour(rng: Generator, low: float = 0.0, high: float = 1.0) -> Colour:
    red, green, blue = colorsys.hsv_to_rgb(rng.random(), rng.random(), rng.uniform(low, high))
    return int(red * 255), int(green * 255), int(blue * 255)


def _canvas(rng: Generator, size: int) -> Image.Image:
    """A flat colour, a gradient, or coarse noise as the ground."""
    first, last = np.array(_colour(rng)), np.array(_colour(rng))
    kind = rng.integers(3)
    if kind == 0:
        return Image.new("RGB", (size, size), tuple(first.tolist()))
    ramp = np.linspace(0, 1, size)[:, None, None]
    field = np.broadcast_to(first * (1 - ramp) + last * ramp, (size, size, 3))
    if kind == 2:
        field = np.rot90(field)
    return Image.fromarray(np.ascontiguousarray(field).astype(np.uint8))


def vector_face(rng: Generator) -> Picture:
    """A flat face: head, hair, eyes, brows, nose, mouth, with or without outlines, cheeks and a soft shade."""
    size = SIDE * 2
    image = _canvas(rng, size)
    draw = ImageDraw.Draw(image)
    skin = _SKIN[rng.integers(len(_SKIN))] if rng.random() < 0.7 else _colour(rng, 0.4)
    line = tuple(int(c * 0.35) for c in skin)
    stroke = int(rng.choice([0, 0, 3, 6, 9]))
    cx, cy = size / 2 + rng.normal(0, 12), size / 2 + rng.normal(0, 12)
    w, h = rng.uniform(90, 150), rng.uniform(110, 165)
    hair = _colour(rng, 0.05, 0.9)

    def oval(x: float, y: float, rx: float, ry: float, fill: Colour | None, width: int = 0) -> None:
        draw.ellipse((x - rx, y - ry, x + rx, y + ry), fill=fill, outline=line if width else None, width=width)

    if rng.random() < 0.8:
        oval(cx, cy - h * 0.25, w * rng.uniform(1.05, 1.3), h * rng.uniform(0.95, 1.3), hair, stroke)
    if rng.random() < 0.7:
        draw.rectangle((cx - w * 0.35, cy + h * 0.6, cx + w * 0.35, size), fill=skin)
        draw.ellipse((cx - w * 1.4, cy + h * 1.1, cx + w * 1.4, cy + h * 2.5), fill=_colour(rng))
    oval(cx, cy, w, h, skin, stroke)
    if rng.random() < 0.5:
        draw.pieslice((cx - w, cy - h, cx + w, cy + h * 0.1), 180, 360, fill=hair)
    spread, level = w * rng.uniform(0.35, 0.5), cy - h * rng.uniform(0.0, 0.25)
    size_x, size_y = w * rng.uniform(0.08, 0.28), h * rng.uniform(0.06, 0.22)
    for side in (-1, 1):
        x = cx + side * spread
        if rng.random() < 0.75:
            oval(x, level, size_x, size_y, (255, 255, 255), stroke)
        oval(x, level, size_x * 0.5, size_y * 0.6, _colour(rng, 0, 0.5))
        oval(x, level, size_x * 0.25, size_y * 0.3, (10, 10, 10))
        brow = level - size_y - rng.uniform(4, 22)
        draw.line((x - size_x, brow + rng.normal(0, 4), x + size_x, brow + rng.normal(0, 4)), fill=hair, width=8)
        if rng.random() < 0.3:
            oval(x, cy + h * 0.3, w * 0.16, h * 0.09, (240, 150, 150))
    nose = cy + h * rng.uniform(0.1, 0.3)
    if rng.random() < 0.5:
        draw.line((cx, level, cx - w * 0.12, nose, cx + w * 0.05, nose), fill=line, width=5)
    else:
        oval(cx, nose, w * 0.1, h * 0.06, tuple(int(c * 0.85) for c in skin))
    mouth = cy + h * rng.uniform(0.45, 0.65)
    wide = w * rng.uniform(0.2, 0.5)
    if rng.random() < 0.5:
        draw.arc((cx - wide, mouth - 25, cx + wide, mouth + 20), 10, 170, fill=(160, 40, 50), width=7)
    else:
        oval(cx, mouth, wide, rng.uniform(6, 25), (180, 60, 70), stroke)
    picture = np.asarray(image.resize((SIDE, SIDE), Image.Resampling.LANCZOS))
    return _soft_shade(picture, rng) if rng.random() < 0.5 else picture


def _soft_shade(picture: Picture, rng: Generator) -> Picture:
    """Airbrush light from one side, as in soft vector art."""
    y, x = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j]
    angle = rng.uniform(0, 2 * np.pi)
    light = 1 + rng.uniform(0.1, 0.45) * (x * np.cos(angle) + y * np.sin(angle) - 0.6 * (x**2 + y**2))
    return np.clip(picture * light[..., None], 0, 255).astype(np.uint8)


def anime_face(rng: Generator) -> Picture:
    """A face as comics from Japan draw it: pointed chin, great eyes with lights in them, spiky hair, hardly a nose."""
    size = SIDE * 2
    image = _canvas(rng, size)
    draw = ImageDraw.Draw(image)
    skin = _SKIN[rng.integers(4)]
    shade, line = tuple(int(c * 0.85) for c in skin), tuple(int(v) for v in rng.integers(0, 90, 3))
    hair, iris = _colour(rng, 0.2, 1.0), _colour(rng, 0.3, 1.0)
    cx, cy = size / 2 + rng.normal(0, 10), size / 2 + rng.normal(0, 10)
    w, h = rng.uniform(95, 130), rng.uniform(120, 150)
    stroke = int(rng.integers(2, 6))

    def lock(x: float, top: float, tip: float, half: float, lean: float) -> None:
        draw.polygon([(x - half, top), (x + half, top), (x + lean, tip)], fill=hair, outline=line, width=stroke)

    below = cy + h * rng.uniform(0.6, 1.4)
    draw.ellipse((cx - w * 1.25, cy - h * 1.3, cx + w * 1.25, below), fill=hair, outline=line)
    draw.polygon(
        [(cx - w * 0.3, cy + h * 0.6), (cx + w * 0.3, cy + h * 0.6), (cx + w, size), (cx - w, size)], fill=shade
    )
    chin = [(cx - w, cy - h * 0.5), (cx - w * 0.95, cy + h * 0.25), (cx - w * 0.12, cy + h * 0.95)]
    outline = [*chin, *[(2 * cx - x, y) for x, y in reversed(chin)]]
    draw.polygon(outline, fill=skin, outline=line, width=stroke)
    draw.ellipse((cx - w, cy - h, cx + w, cy + h * 0.2), fill=skin)
    for side in (-1, 1):
        x, y = cx + side * w * 0.48, cy + h * rng.uniform(0.02, 0.06)
        rx, ry = w * rng.uniform(0.22, 0.3), h * rng.uniform(0.22, 0.33)
        draw.ellipse((x - rx, y - ry, x + rx, y + ry), fill=(255, 255, 255))
        draw.ellipse((x - rx * 0.8, y - ry * 0.95, x + rx * 0.8, y + ry * 0.95), fill=tuple(c // 2 for c in iris))
        draw.ellipse((x - rx * 0.7, y - ry * 0.1, x + rx * 0.7, y + ry * 0.9), fill=iris)
        draw.ellipse((x - rx * 0.3, y - ry * 0.4, x + rx * 0.3, y + ry * 0.4), fill=(10, 10, 20))
        draw.ellipse((x - rx * 0.5, y - ry * 0.7, x, y - ry * 0.2), fill=(255, 255, 255))
        draw.arc((x - rx * 1.2, y - ry * 1.1, x + rx * 1.2, y + ry), 200, 340, fill=line, width=stroke + 4)
        draw.line((x - rx, y - ry * 1.5, x + rx, y - ry * rng.uniform(1.3, 1.7)), fill=hair, width=stroke + 2)
        if rng.random() < 0.4:
            draw.ellipse((x - rx, y + ry * 1.1, x + rx, y + ry * 1.5), fill=(245, 170, 160))
    draw.line((cx, cy + h * 0.4, cx + w * 0.05, cy + h * 0.45), fill=line, width=stroke)
    draw.arc((cx - w * 0.2, cy + h * 0.5, cx + w * 0.2, cy + h * 0.68), 15, 165, fill=line, width=stroke)
    for x in np.linspace(cx - w * 1.05, cx + w * 1.05, int(rng.integers(4, 9))):
        lock(x, cy - h * 1.05, cy - h * rng.uniform(0.0, 0.4), w * rng.uniform(0.2, 0.4), rng.normal(0, 25))
    return np.asarray(image.resize((SIDE, SIDE), Image.Resampling.LANCZOS))


def shaded_head(rng: Generator) -> Picture:
    """A head as a height field of ellipsoids under Lambert and Phong light: renders, busts, dolls."""
    y, x = np.mgrid[-1.2 : 1.2 : SIDE * 1j, -1.2 : 1.2 : SIDE * 1j]
    turn = rng.uniform(-0.25, 0.25)

    def bump(cx: float, cy: float, rx: float, ry: float, height: float) -> NDArray[np.float64]:
        return height * np.exp(-(((x - cx - turn) / rx) ** 2 + ((y - cy) / ry) ** 2))

    rx, ry = rng.uniform(0.6, 0.8), rng.uniform(0.8, 1.0)
    inside = 1 - (x / rx) ** 2 - (y / ry) ** 2
    depth = np.sqrt(np.clip(inside, 0, None))
    eye = rng.uniform(0.22, 0.32)
    depth += bump(0, rng.uniform(0.05, 0.2), rng.uniform(0.08, 0.16), 0.24, rng.uniform(0.15, 0.4))
    for side in (-1, 1):
        depth += bump(side * eye, -0.15, 0.16, 0.09, -rng.uniform(0.1, 0.3))
        depth += bump(side * eye, -0.15, 0.09, 0.06, rng.uniform(0.05, 0.15))
        depth += bump(side * eye, -0.32, 0.2, 0.06, rng.uniform(0.02, 0.1))
        depth += bump(side * 0.4, 0.25, 0.2, 0.2, rng.uniform(-0.05, 0.1))
    for level, height in ((0.42, 0.1), (0.46, -0.08), (0.5, 0.1), (0.75, 0.12)):
        depth += bump(0, level, rng.uniform(0.18, 0.3), 0.035, height * rng.uniform(0.5, 1.2))
    if rng.random() < 0.4:  # stone
        depth += cv2.GaussianBlur(rng.normal(0, 0.05, depth.shape), (0, 0), rng.uniform(0.8, 3))
    dy, dx = np.gradient(depth * SIDE / 2.4)
    normal = np.dstack([-dx, -dy, np.ones_like(dx)])
    normal /= np.linalg.norm(normal, axis=2, keepdims=True)
    light = np.array([rng.uniform(-1, 1), rng.uniform(-1, 0.2), rng.uniform(0.4, 1.2)])
    light /= np.linalg.norm(light)
    lambert = np.clip(normal @ light, 0, 1)
    halfway = light + np.array([0.0, 0.0, 1.0])
    gloss = np.clip(normal @ (halfway / np.linalg.norm(halfway)), 0, 1) ** 30
    shade = rng.uniform(0.1, 0.4) + 0.7 * lambert + rng.uniform(0, 0.5) * gloss
    base = np.array(_SKIN[rng.integers(len(_SKIN))] if rng.random() < 0.4 else [rng.uniform(90, 255)] * 3)
    head = np.clip(shade[..., None] * base, 0, 255)
    ground = np.asarray(_canvas(rng, SIDE)).astype(float)
    soft = np.clip(inside * 30, 0, 1)[..., None]
    return (head * soft + ground * (1 - soft)).astype(np.uint8)


def flat_scene(rng: Generator) -> Picture:
    """Simple shapes on a plain ground, as the embedded generator is taught to paint them; some soft."""
    size = SIDE * 2
    image = _canvas(rng, size)
    draw = ImageDraw.Draw(image)
    for _ in range(rng.integers(1, 7)):
        x, y, r = rng.uniform(0, size), rng.uniform(0, size), rng.uniform(20, 150)
        fill = _colour(rng)
        kind = rng.integers(5)
        if kind == 0:
            draw.ellipse((x - r, y - r * rng.uniform(0.4, 1), x + r, y + r), fill=fill)
        elif kind == 1:
            draw.rectangle((x - r, y - r * rng.uniform(0.3, 1), x + r, y + r), fill=fill)
        else:
            corners = int(rng.choice([3, 5, 6, 10]))
            radius = [r if i % 2 or corners != 10 else r * 0.45 for i in range(corners)]
            turn = rng.uniform(0, 6.28)
            angles = [turn + 6.2832 * i / corners for i in range(corners)]
            points = [(x + q * np.cos(a), y + q * np.sin(a)) for q, a in zip(radius, angles, strict=True)]
            draw.polygon(points, fill=fill)
    picture = np.asarray(image.resize((SIDE, SIDE), Image.Resampling.LANCZOS))
    if rng.random() < 0.4:
        picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.5, 2.5))
        wash = cv2.GaussianBlur(rng.normal(0, 20, picture.shape), (0, 0), rng.uniform(2, 12))
        picture = np.clip(picture + wash, 0, 255).astype(np.uint8)
    return picture


def soft_scene(rng: Generator) -> Picture:
    """A flat scene as a small diffusion model paints it: 64 pixels, wavering edges, uneven washes, a faint grid."""
    small = cv2.resize(flat_scene(rng), (64, 64), interpolation=cv2.INTER_AREA)
    y, x = np.mgrid[:64, :64].astype(np.float32)
    reach, waver = rng.uniform(1.5, 5), rng.uniform(0, 14)
    dx, dy = (cv2.GaussianBlur(rng.normal(0, 1, (64, 64)).astype(np.float32), (0, 0), reach) for _ in range(2))
    warped = cv2.remap(small, x + dx * waver, y + dy * waver, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    blurred = cv2.GaussianBlur(warped, (0, 0), rng.uniform(0.3, 1.6)).astype(float)
    for strength, width in ((rng.uniform(0, 25), rng.uniform(2, 8)), (rng.uniform(0, 14), rng.uniform(0.5, 1.2))):
        wash = cv2.GaussianBlur(rng.normal(0, 1, (64, 64, 3)), (0, 0), width)
        blurred += strength * wash / wash.std()
    pitch = int(rng.choice([2, 4, 8]))
    grid = np.cos(2 * np.pi * x / pitch) + np.cos(2 * np.pi * y / pitch)
    blurred += (rng.uniform(0, 7) * grid)[..., None]
    side = int(rng.choice([SIDE, 256]))
    large = cv2.resize(np.clip(blurred, 0, 255).astype(np.uint8), (side, side), interpolation=cv2.INTER_CUBIC)
    return cv2.resize(large, (SIDE, SIDE), interpolation=cv2.INTER_AREA)


def page(rng: Generator) -> Picture:
    """Charts, tables and text."""
    ground = int(rng.integers(225, 256)) if rng.random() < 0.8 else int(rng.integers(0, 60))
    ink = tuple(int(v) for v in (rng.integers(0, 90, 3) if ground > 128 else rng.integers(150, 256, 3)))
    image = Image.new("RGB", (SIDE * 2, SIDE * 2), (ground,) * 3)
    draw = ImageDraw.Draw(image)
    for _ in range(rng.integers(3, 14)):
        x, y = rng.uniform(0, 300), rng.uniform(0, 370)
        if rng.random() < 0.5:
            text = "".join(chr(c) for c in rng.integers(97, 123, rng.integers(4, 30)))
            draw.text((x / 3, y), text, fill=ink, font=ImageFont.load_default(int(rng.integers(9, 48))))
        elif rng.random() < 0.5:
            line = np.cumsum(rng.normal(0, 8, 60)) + y
            points = list(zip(np.linspace(20, 360, 60).tolist(), line.tolist(), strict=True))
            draw.line(points, fill=_colour(rng), width=int(rng.integers(1, 5)))
        else:
            draw.rectangle((x, y, x + rng.uniform(5, 120), y + rng.uniform(2, 90)), fill=_colour(rng), outline=ink)
    return np.asarray(image.resize((SIDE, SIDE), Image.Resampling.LANCZOS))


def _stylise(picture: Picture, rng: Generator) -> Picture:
    return cv2.stylization(picture, sigma_s=rng.uniform(20, 120), sigma_r=rng.uniform(0.2, 0.6))


def _pencil(picture: Picture, rng: Generator) -> Picture:
    shade = rng.uniform(0.02, 0.07)
    grey, colour = cv2.pencilSketch(picture, sigma_s=rng.uniform(20, 90), sigma_r=0.07, shade_factor=shade)
    return colour if rng.random() < 0.3 else np.dstack([grey] * 3)


def _cartoon(picture: Picture, rng: Generator) -> Picture:
    flat = cv2.pyrMeanShiftFiltering(picture, rng.uniform(8, 16), rng.uniform(25, 45))
    grey = cv2.medianBlur(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), 5)
    block = int(rng.choice([7, 9, 13]))
    edges = cv2.adaptiveThreshold(grey, 255, cv2.ADAPTIVE_THRESH_MEAN_C, cv2.THRESH_BINARY, block, 5)
    return cv2.bitwise_and(flat, flat, mask=edges)


def _posterise(picture: Picture, rng: Generator) -> Picture:
    smooth = cv2.edgePreservingFilter(picture, sigma_s=60, sigma_r=0.4)
    step = 256 // int(rng.integers(3, 6))
    return (smooth // step * step + step // 2).clip(0, 255).astype(np.uint8)


def _oil(picture: Picture, rng: Generator) -> Picture:
    """Strokes: a random field drags colours along, then medians join them."""
    h, w = picture.shape[:2]
    y, x = np.mgrid[:h, :w].astype(np.float32)
    sigma, amount = rng.uniform(1.5, 3), rng.uniform(40, 90)
    dx, dy = (cv2.GaussianBlur(rng.normal(0, 1, (h, w)).astype(np.float32), (0, 0), sigma) * amount for _ in range(2))
    dragged = cv2.remap(picture, x + dx / 4, y + dy / 4, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    for _ in range(2):
        dragged = cv2.medianBlur(dragged, int(rng.choice([5, 7])))
    return dragged


def _line_art(picture: Picture, rng: Generator) -> Picture:
    grey = cv2.GaussianBlur(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), (0, 0), rng.uniform(0.8, 2))
    if rng.random() < 0.5:
        drawn = 255 - cv2.Canny(grey, 30, 90)
    else:
        _, drawn = cv2.threshold(grey, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    return np.dstack([cv2.GaussianBlur(drawn, (0, 0), rng.uniform(0.4, 0.9))] * 3)


def _mosaic(picture: Picture, rng: Generator) -> Picture:
    """Large square pixels of few colours, as old games show them."""
    side = int(rng.integers(24, 56))
    small = cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)
    step = 256 // int(rng.integers(4, 9))
    coarse = (small // step * step + step // 2).clip(0, 255).astype(np.uint8)
    return cv2.resize(coarse, picture.shape[1::-1], interpolation=cv2.INTER_NEAREST)


def _facets(picture: Picture, rng: Generator) -> Picture:
    """Triangles of one colour each, between points scattered where there is most to see."""
    h, w = picture.shape[:2]
    edges = cv2.GaussianBlur(cv2.Canny(picture, 60, 160).astype(np.float64) + 8, (0, 0), 3).ravel()
    chosen = rng.choice(h * w, int(rng.integers(250, 900)), replace=False, p=edges / edges.sum())
    plane = cv2.Subdiv2D((0, 0, w, h))
    plane.insert([(float(place % w), float(place // w)) for place in chosen])
    plane.insert([(0.0, 0.0), (w - 1.0, 0.0), (0.0, h - 1.0), (w - 1.0, h - 1.0)])
    drawn = picture.copy()
    for corners in plane.getTriangleList().reshape(-1, 3, 2):
        points = corners.round().astype(np.int32)
        x, y = points.mean(axis=0).astype(int).clip(0, (w - 1, h - 1))
        cv2.fillConvexPoly(drawn, points, picture[y, x].tolist(), cv2.LINE_AA)
    return drawn


def _watercolour(picture: Picture, rng: Generator) -> Picture:
    """Soft flat washes that run over their edges, on rough paper."""
    flat = cv2.edgePreservingFilter(picture, sigma_s=rng.uniform(30, 80), sigma_r=rng.uniform(0.4, 0.8))
    wash = cv2.medianBlur(flat, int(rng.choice([7, 9, 11]))).astype(np.float32)
    grain = cv2.GaussianBlur(rng.normal(0, 1, picture.shape[:2]).astype(np.float32), (0, 0), rng.uniform(0.7, 1.5))
    pools = cv2.GaussianBlur(rng.normal(0, 1, picture.shape[:2]).astype(np.float32), (0, 0), 12)
    paper = grain / grain.std() * rng.uniform(2, 8) + pools / pools.std() * rng.uniform(4, 14)
    return np.clip(wash * rng.uniform(0.7, 0.95) + 40 + paper[..., None], 0, 255).astype(np.uint8)


def _relief(picture: Picture, rng: Generator) -> Picture:
    """Beaten or carved: the picture's light as height, lit from one side, in one material."""
    grey = cv2.GaussianBlur(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), (0, 0), rng.uniform(1, 2.5)).astype(np.float32)
    angle = rng.uniform(0, 2 * np.pi)
    slope = cv2.Sobel(grey, cv2.CV_32F, 1, 0) * np.cos(angle) + cv2.Sobel(grey, cv2.CV_32F, 0, 1) * np.sin(angle)
    stone = cv2.GaussianBlur(rng.normal(0, 1, grey.shape).astype(np.float32), (0, 0), rng.uniform(0.6, 2))
    light = 128 + slope * rng.uniform(0.6, 1.6) + stone / stone.std() * rng.uniform(0, 8)
    return np.clip(light[..., None] * np.array(_colour(rng, 0.6)) / 180, 0, 255).astype(np.uint8)


def _smear(picture: Picture, rng: Generator) -> Picture:
    """Digital painting: brushes of one or two sizes, each the commonest shade about a point."""
    drawn = picture
    for size in rng.choice([3, 4, 5, 6], int(rng.integers(1, 3)), replace=False):
        drawn = _commonest(drawn, int(size))
    return drawn


def _commonest(picture: Picture, size: int) -> Picture:
    """Each point takes the mean colour of the commonest of 16 shades about it."""
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) // 16
    window = (2 * size + 1, 2 * size + 1)
    counts = np.stack([cv2.boxFilter((grey == shade).astype(np.float32), -1, window) for shade in range(16)])
    best = counts.argmax(axis=0)
    drawn = np.zeros(picture.shape, np.float32)
    for shade in range(16):
        here = (grey == shade)[..., None] * picture.astype(np.float32)
        mean = cv2.boxFilter(here, -1, window) / np.maximum(counts[shade], 1e-4)[..., None]
        drawn[best == shade] = mean[best == shade]
    return drawn.clip(0, 255).astype(np.uint8)


FILTERS: dict[str, Callable[[Picture, Generator], Picture]] = {
    "stylise": _stylise,
    "pencil": _pencil,
    "cartoon": _cartoon,
    "posterise": _posterise,
    "oil": _oil,
    "line-art": _line_art,
    "mosaic": _mosaic,
    "facets": _facets,
    "watercolour": _watercolour,
    "relief": _relief,
    "smear": _smear,
}
