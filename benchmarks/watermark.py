"""The invisible mark: what it costs to look at, which attacks it survives, its CPU time, and an attacker with averages.

Run by `make bench-provenance`; prints tables and writes benchmarks/results/watermark.json. PHOTOS= names a folder with
the sub-folders 512 and 1024 of photographs of such sizes; without one, photographs that come with scikit-image and
scikit-learn. Every figure of an attack is the share of photographs from which the exact payload comes back, 64 bits of
ours beside 32 of invisible-watermark's, each attack on its own. AVERAGED= is how many pictures the attacker has.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from multiprocessing import get_context
from pathlib import Path
from statistics import mean, median
from typing import Annotated

os.environ.setdefault("OMP_NUM_THREADS", "1")

import cv2
import numpy as np
import typer
from rich.console import Console
from rich.progress import track
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from benchmarks.report.table import Figure, record, table
from benchmarks.watermark_attacks import ATTACKS, Rgb, generator
from benchmarks.watermark_averaging import averaging, unsynchronised
from benchmarks.watermark_marks import OURS, Bits, Mark, marks, peers_installed
from benchmarks.watermark_photographs import SIZES, Photograph, described, photographs

RESULTS = Path(__file__).parent / "results" / "watermark.json"
WORKERS = 2
PSNR, SSIM = 42.0, 0.99
SURVIVED, HARD = 0.99, 0.95
# Those that the goals do not name.
WITHOUT_GOAL = {"jpeg15", "combo_social", "combo_rot3_c75_j70"}
HARDER = {"printscan", "persp5", "persp10"}
COMBINED = "combo_j50_c50_rs0.5"
TIMED = 8
MS = "{:.1f} ms"
NOT_INSTALLED = """invisible-watermark is not installed: nothing stands beside. `make bench-provenance` installs it, or:
pip install --no-deps invisible-watermark==0.2.0"""

Folder = Annotated[Path | None, typer.Option(exists=True, file_okay=False)]


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of one mark on one photograph: whether each attack left the payload, and how many other payloads were read."""

    psnr: float
    ssim: float
    ssim_swapped: float
    survived: dict[str, bool]
    wrong: int


def main(photos: Folder = None, averaged: int = 1000) -> None:
    """Measures, prints, writes."""
    cv2.setNumThreads(1)
    console = Console(width=max(Console().width, 130), highlight=False)
    if not peers_installed():
        console.print(NOT_INSTALLED)
    found: dict[str, object] = {}
    given = {size: photographs(photos, size) for size in SIZES}
    survived = robustness(given)
    for size in SIZES:
        title = f"the invisible mark at {size} px: {described(given[size])}"
        mine, others = figures(survived[size], size)
        console.print(table(title, mine, others))
        found[str(size)] = _recorded(title, mine, others)
    title = "CPU of one thread at 1024 px, medians"
    mine, others = speed(given[1024][:TIMED])
    console.print(table(title, mine, others))
    found["speed"] = _recorded(title, mine, others)
    title = (
        f"an attacker with {averaged:,} marked pictures of 512 px (cuts and mirrorings of the photographs) and the code"
    )
    mine = list(averaging(given[512], [one for size in SIZES for one in given[size]], averaged, WORKERS))
    console.print(table(title, mine, {}))
    found["averaging"] = _recorded(title, mine, {})
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(found, indent=2) + "\n")


def robustness(given: dict[int, list[Photograph]]) -> dict[int, list[dict[str, Outcome]]]:
    """For each size and photograph, what became of every mark; the large ones first, they take longest."""
    jobs = [(size, photograph) for size in sorted(given, reverse=True) for photograph in given[size]]
    found: dict[int, list[dict[str, Outcome]]] = {size: [] for size in given}
    with get_context("spawn").Pool(WORKERS, _start) as pool:
        for size, outcome in track(pool.imap_unordered(_tried, jobs), "attacks", len(jobs), transient=True):
            found[size].append(outcome)
    return found


def _start() -> None:
    cv2.setNumThreads(1)


_marks = lru_cache(maxsize=1)(marks)


def _tried(job: tuple[int, Photograph]) -> tuple[int, dict[str, Outcome]]:
    size, photograph = job
    return size, {name: outcome(mark, photograph) for name, mark in _marks().items()}


def outcome(mark: Mark, photograph: Photograph) -> Outcome:
    """Marks a photograph, attacks the copy in every way and reads each."""
    bits = payload(mark, photograph)
    marked = mark.embed(photograph.rgb, bits)
    survived, wrong = dict[str, bool](), 0
    for name, attack in ATTACKS.items():
        read = mark.read(attack(marked, generator(photograph.name, name)))
        survived[name] = read is not None and np.array_equal(read, bits)
        wrong += read is not None and not survived[name]
    return Outcome(
        peak_signal_noise_ratio(photograph.rgb, marked),
        _similarity(photograph.rgb, marked, cv2.COLOR_RGB2GRAY),
        _similarity(photograph.rgb, marked, cv2.COLOR_BGR2GRAY),
        survived,
        wrong,
    )


def payload(mark: Mark, photograph: Photograph) -> Bits:
    """The bits that a mark writes into a photograph, the same on every run."""
    return generator("bits", photograph.name, mark.length).integers(0, 2, mark.length).astype(np.uint8)


def _similarity(one: Rgb, other: Rgb, conversion: int) -> float:
    return float(structural_similarity(cv2.cvtColor(one, conversion), cv2.cvtColor(other, conversion)))


def figures(outcomes: list[dict[str, Outcome]], size: int) -> tuple[list[Figure], dict[str, list[Figure]]]:
    """Of ours, and of the others by name."""
    every = {name: list(_figures([each[name] for each in outcomes], size)) for name in outcomes[0]}
    mine = every.pop(OURS)
    wrong = sum(each[OURS].wrong for each in outcomes)
    mine.append(Figure("wrong payloads read", len(outcomes) * len(ATTACKS), wrong, 0, True, "{:.0f}"))
    return mine, every


def _figures(outcomes: Sequence[Outcome], size: int) -> Iterator[Figure]:
    count = len(outcomes)
    yield Figure("mean PSNR", count, mean(one.psnr for one in outcomes), PSNR, form="{:.2f} dB")
    yield Figure("mean SSIM of luma", count, mean(one.ssim for one in outcomes), SSIM, form="{:.4f}")
    swapped = mean(one.ssim_swapped for one in outcomes)
    yield Figure("the same, red and blue weighed the wrong way round", count, swapped, SSIM, form="{:.4f}")
    for name in ATTACKS:
        yield Figure(name, count, mean(one.survived[name] for one in outcomes), _goal(name, size))


def _goal(attack: str, size: int) -> float | None:
    if attack in WITHOUT_GOAL:
        return None
    hard = attack in HARDER or (attack == COMBINED and size < 1024)
    return HARD if hard else SURVIVED


def speed(given: list[Photograph]) -> tuple[list[Figure], dict[str, list[Figure]]]:
    """Of ours, and of the others by name."""
    every = {name: list(_speed(mark, given)) for name, mark in _marks().items()}
    mark, mine = _marks()[OURS], every.pop(OURS)
    mine.append(_timed("unmarked picture, full effort", mark.read, [one.rgb for one in given], 150))
    marked = [mark.embed(one.rgb, payload(mark, one)) for one in given]
    for attack in ("rot15", "printscan"):
        copies = [ATTACKS[attack](rgb, generator(one.name, attack)) for rgb, one in zip(marked, given, strict=True)]
        mine.append(_timed(f"full search after {attack}", mark.read, copies, 1500))
    bare = [unsynchronised(one.rgb, payload(mark, one)) for one in given]
    mine.append(_timed("full search, synchronisation lost", mark.read, bare, 1500))
    return mine, every


def _speed(mark: Mark, given: list[Photograph]) -> Iterator[Figure]:
    bits = payload(mark, given[0])
    yield _timed("embed", partial(mark.embed, bits=bits), [one.rgb for one in given], 30)
    yield _timed("read as it lies", mark.read, [mark.embed(one.rgb, bits) for one in given], 25)


def _timed(what: str, call: Callable[[Rgb], object], pictures: Sequence[Rgb], goal: float) -> Figure:
    call(pictures[0])
    taken = []
    for rgb in track(pictures, what, transient=True):
        begin = time.process_time()
        call(rgb)
        taken.append(1000 * (time.process_time() - begin))
    return Figure(what, len(taken), median(taken), goal, True, MS)


def _recorded(title: str, mine: list[Figure], others: dict[str, list[Figure]]) -> dict[str, object]:
    return {
        "title": title,
        "figures": record(mine),
        "others": {name: record(theirs) for name, theirs in others.items()},
    }


if __name__ == "__main__":
    typer.run(main)
