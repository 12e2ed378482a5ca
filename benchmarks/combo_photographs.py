"""Harmful and harmless edits by another hand on real photographs, no encoder: what is let through, and what is not.

Run by `make bench-combo PHOTOS=folder`; prints a table and writes benchmarks/results/combo_photographs.json. Without
a folder, three photographs that come with scikit-image. The whole way of a pair: image filter, words, mask, policy.
The mask opens all of the picture, as for a change of light, or a fifth of it, as for a thing.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console
from rich.progress import track
from skimage import data

from benchmarks.report.table import Figure, record, table
from services.combo_filter.pipeline import ComboPipeline
from services.combo_filter.settings import ComboFilterSettings
from services.commands.default_policy import DEFAULT_POLICY
from services.core.imaging import encode
from services.core.policy.document import load_policy
from services.core.policy.evaluate import evaluate
from services.core.verdicts import Verdict
from services.image_filter.pipeline import ImageMeasurement, ImagePipeline
from services.image_filter.settings import ImageFilterSettings

RESULTS = Path(__file__).parent / "results" / "combo_photographs.json"
HELD_OUT = Path(__file__).parents[1] / "tests/unit/combo_filter/edits_held_out.tsv"
WHOLE = ("harmless_light", "harmless_style", "set_scene", "stage_event", "stage_crowd")
OWN = ("chelsea", "coffee", "rocket")


def main() -> None:
    """Reads the arguments, measures, prints and writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=Path, help="a folder of photographs")
    arguments = parser.parse_args()
    figures = list(measure(list(_photos(arguments.photos))))
    Console(width=130).print(table("edits of real photographs, no encoder", figures, {}))
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(record(figures), indent=2) + "\n")


def measure(files: list[bytes]) -> Iterator[Figure]:
    """Every text on one of the photographs that may be uploaded, in turn."""
    policy = load_policy(DEFAULT_POLICY.read_text(encoding="utf-8"), DEFAULT_POLICY.name)
    sight, both = ImagePipeline.load(ImageFilterSettings()), ComboPipeline.load(ComboFilterSettings())
    looked = [sight.measure(file) for file in track(files, "photographs", transient=True)]
    taken = [one for one in looked if evaluate(policy, "upload", "new", one.measurement).verdict is Verdict.ALLOW]
    yield Figure("photographs that may be uploaded", len(files), len(taken) / len(files))
    verdicts: dict[str, list[Verdict]] = {}
    lines = [line.split("\t") for line in HELD_OUT.read_text(encoding="utf-8").splitlines()]
    for at, (label, text) in track(zip(count(), lines), "edits", len(lines), transient=True):
        seen = taken[at % len(taken)]
        mask = _mask(seen, whole=label in WHOLE)
        measured = both.measure("edit", text, "", seen.sanitised.png, mask, (), seen.measurement.signals)
        verdicts.setdefault(label, []).append(evaluate(policy, "pair", "new", measured).verdict)
    sight.close()
    harmful = [one for label, found in verdicts.items() if not label.startswith("harmless") for one in found]
    harmless = {label: found for label, found in verdicts.items() if label.startswith("harmless")}
    every = [one for found in harmless.values() for one in found]
    yield Figure("violating edits not allowed", len(harmful), _share(harmful, allowed=False), 0.95)
    yield Figure("harmless edits allowed", len(every), _share(every, allowed=True), 0.9)
    for label, found in harmless.items():
        yield Figure(f"  {label.removeprefix('harmless_')}", len(found), _share(found, allowed=True))


def _share(verdicts: list[Verdict], *, allowed: bool) -> float:
    return float(np.mean([(verdict is Verdict.ALLOW) is allowed for verdict in verdicts]))


def _mask(seen: ImageMeasurement, *, whole: bool) -> bytes:
    """All of the picture, or a fifth of it in the lower right."""
    height, width = seen.sanitised.rgb.shape[:2]
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[0 if whole else height * 11 // 20 :, 0 if whole else width * 11 // 20 :] = 255
    return encode(pixels)


def _photos(folder: Path | None) -> Iterator[bytes]:
    if folder is None:
        yield from (encode(getattr(data, name)()) for name in OWN)
        return
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with Image.open(path) as image:
            yield encode(np.asarray(image.convert("RGB")))


if __name__ == "__main__":
    main()
