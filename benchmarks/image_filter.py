"""The image filter on pictures that nothing was made from: goals beside figures, plain NudeNet and haar beside it.

Run by `make bench-images`; folders of yours: `make bench-images REAL=DIR DRAWN=DIR FACELESS=DIR`. Prints a table and
writes benchmarks/results/image_filter.json.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Annotated

os.environ.setdefault("OMP_NUM_THREADS", "1")

import cv2
import psutil
import typer
from rich.console import Console
from rich.progress import track

from benchmarks.images.at_hand import PHOTOS, Kind, Picture, at_hand, looks, of_folder
from benchmarks.images.filters import Filter, ours, plain_haar, plain_nudenet
from benchmarks.report.table import Figure, record, table
from services.image_filter.pipeline import ImagePipeline
from services.image_filter.settings import ImageFilterSettings

RESULTS = Path(__file__).parent / "results" / "image_filter.json"
GOALS: dict[Kind, tuple[str, float, bool]] = {
    "real": ("photographs of faces refused", 0.97, False),
    "drawn": ("drawn faces refused", 0.10, True),
    "faceless": ("pictures without a face refused for one", 0.02, True),
}
_TIMED = 8

Folder = Annotated[Path | None, typer.Option(exists=True, file_okay=False)]


def main(real: Folder = None, drawn: Folder = None, faceless: Folder = None) -> None:
    """Measures, prints, writes."""
    cv2.setNumThreads(1)
    console = Console(width=max(Console().width, 120), highlight=False)
    given: list[tuple[Kind, Path | None]] = [("real", real), ("drawn", drawn), ("faceless", faceless)]
    pictures = [picture for kind, folder in given if folder for picture in of_folder(folder, kind)]
    if not pictures:
        pictures = list(looks(at_hand()))
    pipeline = ImagePipeline.load(ImageFilterSettings())
    try:
        mine, *others = (_figures(one, pictures) for one in (ours(pipeline), plain_nudenet(), plain_haar()))
        mine += _speed(pipeline)
        models = {model.name: f"{model.version} {model.digest[:12]}".strip() for model in pipeline.models}
    finally:
        pipeline.close()
    peers = dict(zip(("NudeNet", "haar alt2"), others, strict=True))
    console.print(table(", ".join(f"{name} {version}" for name, version in models.items()), mine, peers))
    RESULTS.parent.mkdir(exist_ok=True)
    found = {"models": models, "figures": record(mine)}
    found["others"] = {name: record(theirs) for name, theirs in peers.items()}
    RESULTS.write_text(json.dumps(found, indent=2) + "\n")


def _figures(judge: Filter, pictures: Sequence[Picture]) -> list[Figure]:
    """What is refused, and the CPU time of a picture with all processes that take part."""
    refused: list[tuple[Kind, frozenset[str]]] = []
    begin = _cpu_seconds()
    for picture in track(pictures, judge.name, transient=True):
        refused.append((picture.kind, judge.refuses(picture.data)))
    spent = _cpu_seconds() - begin
    figures = []
    for kind, (what, goal, at_most) in GOALS.items():
        own = [categories for of, categories in refused if of == kind]
        if own:
            share = sum("realistic_face" in categories for categories in own) / len(own)
            figures.append(Figure(what, len(own), share, goal, at_most))
    bare = sum("sexual" in categories for _, categories in refused) / len(refused)
    figures.append(Figure("ordinary pictures called explicit", len(refused), bare, 0.004, True))
    figures.append(Figure("CPU a picture, ms", len(refused), spent / len(refused) * 1000, form="{:.0f}"))
    return figures


def _speed(pipeline: ImagePipeline) -> list[Figure]:
    """CPU time of 1024-pixel photographs, and of the outputs of one request as one batch beside one by one."""
    photos = [path.read_bytes() for path in sorted(PHOTOS.glob("1024/*.webp"))[:_TIMED]]
    if not photos:
        return []
    whole = [_spent(pipeline, [photo]) for photo in photos * 2]
    batch = median(_spent(pipeline, photos[:4]) for _ in range(3)) / 4
    return [
        Figure("whole check of a 1024-pixel photograph, CPU ms", len(whole), median(whole), 180, True, "{:.0f}"),
        Figure("the same as one of a batch of four, CPU ms", 3, batch, form="{:.0f}"),
    ]


def _spent(pipeline: ImagePipeline, batch: Sequence[bytes]) -> float:
    begin = _cpu_seconds()
    pipeline.measure_all(batch)
    return (_cpu_seconds() - begin) * 1000


def _cpu_seconds() -> float:
    """CPU time of this process and of its helpers, so far."""
    processes = [psutil.Process(), *psutil.Process().children(recursive=True)]
    return sum(sum(process.cpu_times()[:2]) for process in processes)


if __name__ == "__main__":
    typer.run(main)
