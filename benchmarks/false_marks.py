"""Pictures that are not ours: how often a mark is read in them, and whether noise behaves as its bound assumes.

`python -m benchmarks.false_marks [FOLDER …]` takes photographs from folders, or those of installed packages, and looks
at crops, resizes, turns, mirrorings, noise, blur and JPEG of them: 100,000 by the fast way and 5,000 with full effort
(FAST=, FULL= for other numbers; about an hour). The tail: on every fiftieth view the fit of random marks is taken at
every place and orientation, and counted above 3 … 6 deviations beside what a normal distribution says. The bound that
comes with a reading multiplies that tail by the number of places and of possible marks.
"""

from __future__ import annotations

import json
import math
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.progress import track
from rich.table import Table
from scipy import fft
from skimage import data

from services.provenance.watermark.codec import DEVELOPMENT_KEY, Codec
from services.provenance.watermark.payload import PayloadCode
from services.provenance.watermark.residual import folded, luma, residual
from services.provenance.watermark.search import TURNS, carried
from services.provenance.watermark.tile import SIZE, load_tile

RESULTS = Path(__file__).parent / "results" / "false_marks.json"
PACKAGED = (data.astronaut, data.chelsea, data.coffee, data.rocket)
LEVELS = (3.0, 4.0, 5.0, 6.0)
TAIL_EVERY, TAIL_MARKS = 50, 4
BATCH = 50

Rgb = NDArray[np.uint8]


@dataclass(slots=True)
class Count:
    """Views looked at and marks read in them; places where a random mark was fitted, and those above each level."""

    views: int
    read: int
    places: int
    above: NDArray[np.int64]


def main() -> None:
    """Count and tell."""
    paths = tuple(str(path) for folder in sys.argv[1:] for path in sorted(Path(folder).rglob("*")) if _is_picture(path))
    jobs = [
        (effort, int(os.environ.get(name, number)))
        for effort, name, number in (("fast", "FAST", 100_000), ("full", "FULL", 5_000))
    ]
    counts = {effort: _count(effort, number, paths) for effort, number in jobs}
    _report(counts)


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in {".jpg", ".jpeg", ".png", ".webp"}


def _count(effort: str, number: int, paths: tuple[str, ...]) -> Count:
    total = Count(0, 0, 0, np.zeros(len(LEVELS), np.int64))
    jobs = [(effort, range(first, min(first + BATCH, number)), paths) for first in range(0, number, BATCH)]
    with ProcessPoolExecutor(int(os.environ.get("WORKERS", "2"))) as pool:
        for found in track(pool.map(_look, jobs), f"{effort}: {number:,} views", total=len(jobs)):
            total.views += found.views
            total.read += found.read
            total.places += found.places
            total.above += found.above
    return total


def _look(job: tuple[str, range, tuple[str, ...]]) -> Count:
    cv2.setNumThreads(1)
    effort, seeds, paths = job
    codec, count = Codec(), Count(0, 0, 0, np.zeros(len(LEVELS), np.int64))
    for seed in seeds:
        random = np.random.default_rng([seed, effort == "full"])
        view = _view(_picture(paths, int(random.integers(len(paths) or len(PACKAGED)))), random)
        count.views += 1
        count.read += codec.read(view, "fast" if effort == "fast" else "full") is not None
        if seed % TAIL_EVERY == 0:
            fits = np.concatenate([_fits(view, random) for _ in range(TAIL_MARKS)])
            count.places += len(fits)
            count.above += np.array([(fits > level).sum() for level in LEVELS])
    return count


@lru_cache(maxsize=64)
def _picture(paths: tuple[str, ...], number: int) -> Rgb:
    return np.asarray(Image.open(paths[number]).convert("RGB")) if paths else PACKAGED[number]()


def _view(picture: Rgb, random: np.random.Generator) -> Rgb:
    """A crop of 128 … 640 pixels a side, mostly changed by one or two of what happens to pictures."""
    scale = float(random.uniform(0.4, 1.6))
    view = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    height, width = (min(side, int(random.integers(128, 641))) for side in view.shape[:2])
    top, left = (
        int(random.integers(whole - part + 1)) for whole, part in zip(view.shape, (height, width), strict=False)
    )
    view = np.ascontiguousarray(view[top : top + height, left : left + width])
    for change in random.choice(len(_CHANGES), int(random.integers(0, 3)), replace=False):
        view = np.ascontiguousarray(_CHANGES[change](view, random))
    return view


def _jpeg(view: Rgb, random: np.random.Generator) -> Rgb:
    file = BytesIO()
    Image.fromarray(view).save(file, "JPEG", quality=int(random.integers(25, 96)))
    return np.asarray(Image.open(file).convert("RGB"))


def _turn(view: Rgb, random: np.random.Generator) -> Rgb:
    height, width = view.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), float(random.uniform(-45, 45)), 1.0)
    return np.asarray(cv2.warpAffine(view, matrix, (width, height), borderMode=cv2.BORDER_REFLECT), np.uint8)


def _noise(view: Rgb, random: np.random.Generator) -> Rgb:
    return np.clip(view + random.normal(0, random.uniform(2, 20), view.shape), 0, 255).astype(np.uint8)


def _blur(view: Rgb, random: np.random.Generator) -> Rgb:
    return np.asarray(cv2.GaussianBlur(view, (0, 0), float(random.uniform(0.5, 2.5))), np.uint8)


def _mirror(view: Rgb, _random: np.random.Generator) -> Rgb:
    return view[:, ::-1]


_CHANGES = (_jpeg, _jpeg, _turn, _noise, _blur, _mirror)


def _fits(view: Rgb, random: np.random.Generator) -> NDArray[np.float32]:
    """How well one random mark fits a view at every place and orientation, in deviations."""
    payload = PayloadCode(64, DEVELOPMENT_KEY)
    tile = load_tile(DEVELOPMENT_KEY, payload.length)
    bits = random.integers(0, 2, 64).astype(np.uint8)
    expected = tile.spectrum(payload.encode(bits), payload.variant(bits)) / tile.amplitudes
    seen = folded(residual(luma(view)))
    fits = []
    for turn in range(TURNS):
        values, weights = carried(seen, tile, turn)
        grid = np.zeros((SIZE, SIZE), np.complex64)
        grid[tile.rows, tile.columns] = values * weights * np.conj(expected)
        deviation = float(np.sqrt((weights[tile.used] ** 2).sum() / 2))
        fits.append((fft.ifft2(grid).real * (SIZE**2 / deviation)).astype(np.float32).ravel())
    return np.concatenate(fits)


def _report(counts: dict[str, Count]) -> None:
    table = Table("way", "views", "marks read", title="Marks in pictures that are not ours")
    for effort, count in counts.items():
        table.add_row(effort, f"{count.views:,}", f"{count.read:,}")
    places = sum(count.places for count in counts.values())
    above = sum((count.above for count in counts.values()), np.zeros(len(LEVELS), np.int64))
    tail = Table(
        "deviations", "places above", "share", "a normal distribution", title=f"The tail, over {places:,} places"
    )
    for level, number in zip(LEVELS, above.tolist(), strict=True):
        expected = 0.5 * math.erfc(level / math.sqrt(2))
        tail.add_row(f"{level:g}", f"{number:,}", f"{number / max(places, 1):.2e}", f"{expected:.2e}")
    console = Console()
    console.print(table, tail)
    RESULTS.parent.mkdir(exist_ok=True)
    found = {effort: {"views": count.views, "read": count.read} for effort, count in counts.items()}
    RESULTS.write_text(
        json.dumps(
            {**found, "places": places, "above": dict(zip(map(str, LEVELS), above.tolist(), strict=True))}, indent=2
        )
        + "\n"
    )
    raise SystemExit(any(count.read for count in counts.values()))


if __name__ == "__main__":
    main()
