"""How often detectors of explicit content find something in ordinary pictures (`ordinary`), by the policy's threshold.

`python -m training.image_filter.false_alarms [--explicit '["nudenet", "opennsfw"]']`, the detectors as in the setting
PORTCULLIS_IMAGE_FILTER_EXPLICIT. Prints a line for each source and, for all of them, one for each change; then the CPU
time of a look. What is found of what should be found is not measured: no such picture is kept here.
"""

from __future__ import annotations

import argparse
import resource
from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np

from services.image_filter.detectors import Detector
from services.image_filter.detectors.explicit import load_explicit
from services.image_filter.settings import ImageFilterSettings
from training.image_filter.ordinary import Look, looks

REVIEW = 0.45  # policies/default.yaml: from here on a person looks
_BATCH = 16


def main() -> None:
    """Tables on stdout."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--datasets", type=Path, default=Path("../shared/datasets/images"))
    parser.add_argument("--photos", type=Path, default=Path("../shared/provenance/photos"))
    parser.add_argument("--avatars", type=Path, default=Path("build/avatars"), help="what avatars.mjs wrote")
    parser.add_argument("--explicit", help="as in PORTCULLIS_IMAGE_FILTER_EXPLICIT; without it, what that says")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    settings = (
        ImageFilterSettings.model_validate_json(f'{{"explicit": {arguments.explicit}}}')
        if arguments.explicit
        else ImageFilterSettings()
    )
    for detector in load_explicit(settings.explicit):
        finds: dict[str, list[float]] = defaultdict(list)
        begun = _cpu()
        batch: list[Look] = []
        for look in looks(arguments.datasets, arguments.photos, arguments.avatars):
            batch.append(look)
            if len(batch) == _BATCH:
                _measure(detector, batch, finds)
                batch = []
        if batch:
            _measure(detector, batch, finds)
        detector.close()
        print(f"\n{detector.model.source} ({detector.licence})")
        for name, scores in finds.items():
            alarms = sum(score >= REVIEW for score in scores)
            print(f"{name:22} n {len(scores):6}  from {REVIEW}: {alarms:4} = {100 * alarms / len(scores):5.2f}%")
        number = len(finds["all"])
        print(f"CPU time a look, drawing it included: {1000 * (_cpu() - begun) / number:.1f} ms", flush=True)


def _measure(detector: Detector, batch: list[Look], finds: dict[str, list[float]]) -> None:
    for look, signals in zip(batch, detector.detect([look.picture for look in batch], [()] * len(batch)), strict=True):
        score = max((signal.score for signal in signals if signal.category == "sexual"), default=0.0)
        for name in (look.source, f"  changed: {look.change}", "all"):
            finds[name].append(score)


def _cpu() -> float:
    """Seconds of CPU of this process and of those that it ended."""
    return sum(np.add(*resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


if __name__ == "__main__":
    main()
