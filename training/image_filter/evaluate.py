"""Measures the whole filter on folders of pictures: `python -m training.image_filter.evaluate [-v] FOLDER …`.

Prints, per folder: how many give a realistic face, something sexual or a photograph at the thresholds of the default
policy for uploads, and the time that a picture takes.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np

from services.image_filter.pipeline import ImagePipeline
from services.image_filter.settings import ImageFilterSettings

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}
# score from which a picture counts: where a person is asked to look, and 0.5 for "is a photograph"
THRESHOLDS = {"realistic_face": 0.4, "sexual": 0.45, "concept.photo": 0.5}


def measure(pipeline: ImagePipeline, folder: Path, verbose: bool) -> None:
    """One line of figures for a folder and its subfolders; with `verbose` one for each picture."""
    counts, times, number = dict.fromkeys(THRESHOLDS, 0), [], 0
    for path in sorted(p for p in folder.rglob("*") if p.suffix in SUFFIXES):
        start = time.perf_counter()
        scores = pipeline.measure(path.read_bytes()).measurement.scores()
        times.append(time.perf_counter() - start)
        number += 1
        for category, threshold in THRESHOLDS.items():
            counts[category] += scores.get(category, 0.0) >= threshold
        if verbose:
            print(path.name, {category: round(scores.get(category, 0.0), 2) for category in THRESHOLDS})
    shares = "  ".join(f"{category} {100 * count / number:5.1f}%" for category, count in counts.items())
    print(f"{folder.name:24} n {number:4}  {shares}  median {np.median(times) * 1000:.0f} ms", flush=True)


def main() -> None:
    """Folders as arguments; -v before them for a line per picture."""
    arguments = sys.argv[1:]
    verbose = "-v" in arguments
    pipeline = ImagePipeline.load(ImageFilterSettings())
    for folder in arguments[verbose:]:
        measure(pipeline, Path(folder), verbose)
    pipeline.close()


if __name__ == "__main__":
    main()
