"""Explicit content by NudeNet 3.4 (AGPL-3.0), which runs in a process of its own; also faces and persons.

An optional extra: its wheel says MIT, but its licence files and its model's metadata say AGPL-3.0.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from importlib.util import find_spec
from math import ceil
from threading import Lock
from typing import Any

from services.core.apart import Apart
from services.core.errors import ConfigurationError, Unavailable
from services.core.imaging import Rgb
from services.core.signals import ModelVersion, Signal
from services.image_filter.detectors import Found, tempered
from services.image_filter.detectors.nudenet_looks import EXPLICIT
from services.image_filter.geometry import at_most, scaled_box

_FACES = frozenset({"FACE_FEMALE", "FACE_MALE"})
_SIDE = 640  # the model looks at 320 and 416; more would only be copied
_SURE = 0.4  # from here on a part makes a person
# How many of each part one person has: what was seen needs at least so many persons.
_EACH_HAS = {"FACE": 1, "BELLY": 1, "GENITALIA": 1, "ANUS": 1, "BREAST": 2, "BUTTOCKS": 2, "ARMPITS": 2, "FEET": 2}
_MANY = 10
_SECONDS = 20.0
_FACE_TOO_SURE = 4.0  # it takes cats and dogs close to the camera for faces


class NudeNet:
    """Exposed parts as `sexual`, faces as `concept.face`, any part of a body as `concept.person`, with boxes.

    `concept.people` is the number of persons, 0.1 each. Scores of faces and persons are the model's own, those of
    exposed parts what several looks agree on (`nudenet_looks`). ConfigurationError where the package is not installed.
    """

    licence = "AGPL-3.0-only"
    categories = frozenset({"sexual", "concept.face", "concept.people", "concept.person"})

    def __init__(self) -> None:
        if find_spec("nudenet") is None:
            raise ConfigurationError(
                "no detector of explicit content is installed: run pip install 'portcullis[nudenet]' (AGPL-3.0)",
                reason="NO_EXPLICIT_CONTENT_DETECTOR",
            )
        self._one_at_a_time = Lock()
        self._process: Apart | None = _start()
        hello = self._process.hello
        self.model = ModelVersion("nudenet", hello["version"], hello["digest"])

    def detect(self, batch: Sequence[Rgb], found: Sequence[Found]) -> list[Found]:  # noqa: ARG002 - the protocol's
        """What the other process sees; Unavailable while it is down, and the next call starts it anew."""
        shrunk = [at_most(picture, _SIDE) for picture in batch]
        head = {"shapes": [picture.shape[:2] for picture, _ in shrunk]}
        answer = self._ask(head, [picture.tobytes() for picture, _ in shrunk])
        return [
            (*(signal for part in parts for signal in self._signals(part, factor, picture)), *self._people(parts))
            for parts, (_, factor), picture in zip(answer["found"], shrunk, batch, strict=True)
        ]

    def close(self) -> None:
        """End the process."""
        with self._one_at_a_time:
            if self._process:
                self._process.end()
                self._process = None

    def _ask(self, head: dict[str, Any], bodies: list[bytes]) -> dict[str, Any]:
        with self._one_at_a_time:
            self._process = self._process or _start()
            try:
                answer, _ = self._process.ask(head, bodies, _SECONDS)
            except (EOFError, OSError) as error:
                self._process = None
                raise Unavailable("the detector of explicit content does not answer") from error
            return answer

    def _signals(self, part: dict[str, Any], factor: float, picture: Rgb) -> list[Signal]:
        """One found part of a body; a face or an exposed part is also a person."""
        x, y, w, h = part["box"]
        box = scaled_box((x, y, w, h), factor, picture)
        scores = {"concept.person": part["seen"]}
        if part["class"] in EXPLICIT:
            scores["sexual"] = part["score"]
        if part["class"] in _FACES:
            scores["concept.face"] = tempered(part["seen"], _FACE_TOO_SURE)
        return [Signal(category, score, self.model.source, box) for category, score in scores.items()]

    def _people(self, parts: Sequence[dict[str, Any]]) -> list[Signal]:
        number = people(parts)
        return [Signal("concept.people", min(1.0, number / _MANY), self.model.source)] if number else []


def people(parts: Sequence[dict[str, Any]]) -> int:
    """The least number of persons that have all `parts`: one a face, one a belly, one to two feet, and so on."""
    seen = Counter(kind for part in parts if part["seen"] >= _SURE for kind in _EACH_HAS if kind in part["class"])
    return max((ceil(number / _EACH_HAS[kind]) for kind, number in seen.items()), default=0)


def _start() -> Apart:
    try:
        return Apart("services.image_filter.detectors.nudenet_process")
    except (EOFError, OSError) as error:
        raise Unavailable("the detector of explicit content could not be started") from error
