"""What is compared: the image filter with its default policy, and the plain detectors that people take instead."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import nudenet
import numpy as np

from benchmarks.images.at_hand import opened
from services.commands.default_policy import DEFAULT_POLICY
from services.core.policy.document import load_policy
from services.core.policy.evaluate import evaluate
from services.core.verdicts import Verdict
from services.image_filter.pipeline import ImagePipeline

_NUDENET_FACE, _NUDENET_EXPLICIT = 0.4, 0.45
_HAAR = "haarcascade_frontalface_alt2.xml"


@dataclass(frozen=True, slots=True)
class Filter:
    """`refuses` gives the categories for which a file is not let through."""

    name: str
    refuses: Callable[[bytes], frozenset[str]]


def ours(pipeline: ImagePipeline) -> Filter:
    """The service's own pipeline as an upload of a new account meets it."""
    policy = load_policy(DEFAULT_POLICY.read_text(encoding="utf-8"), str(DEFAULT_POLICY))

    def refuses(file: bytes) -> frozenset[str]:
        judgement = evaluate(policy, "upload", "new", pipeline.measure(file).measurement)
        return frozenset(r.category for r in judgement.reasons if r.verdict is not Verdict.ALLOW)

    return Filter("Portcullis", refuses)


def plain_nudenet() -> Filter:
    """NudeNet as its README uses it: a face from 0.4, an exposed part from 0.45."""
    detector = nudenet.NudeDetector()

    def refuses(file: bytes) -> frozenset[str]:
        found = detector.detect(np.ascontiguousarray(opened(file)[:, :, ::-1]))
        faces = any(part["class"].startswith("FACE") and part["score"] >= _NUDENET_FACE for part in found)
        bare = any(part["class"].endswith("_EXPOSED") and _is_explicit(part) for part in found)
        return frozenset(["realistic_face"] * faces + ["sexual"] * bare)

    return Filter("NudeNet", refuses)


def plain_haar() -> Filter:
    """OpenCV's best frontal cascade with its usual settings; it knows nothing of what is explicit."""
    classifier = cv2.CascadeClassifier(str(Path(cv2.__file__).parent / "data" / _HAAR))

    def refuses(file: bytes) -> frozenset[str]:
        grey = cv2.cvtColor(np.asarray(opened(file)), cv2.COLOR_RGB2GRAY)
        found = len(classifier.detectMultiScale(grey, 1.1, 3)) > 0
        return frozenset(["realistic_face"] * found)

    return Filter("haar alt2", refuses)


def _is_explicit(part: dict[str, object]) -> bool:
    name, score = str(part["class"]), float(str(part["score"]))
    return score >= _NUDENET_EXPLICIT and not name.startswith(("ARMPITS", "BELLY", "FEET", "MALE_BREAST"))
