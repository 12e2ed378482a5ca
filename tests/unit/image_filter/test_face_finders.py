from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest
from skimage import data

from services.core.errors import ConfigurationError, Unavailable
from services.core.signals import Box, Signal
from services.image_filter.detectors import nudenet
from services.image_filter.detectors.mtcnn import Mtcnn
from services.image_filter.detectors.nudenet import NudeNet

ASTRONAUT = data.astronaut()
FACE = Box(170, 70, 110, 110)
FLAT = np.full((96, 128, 3), (200, 40, 40), np.uint8)


def covers_face(signal: Signal) -> bool:
    box = signal.evidence
    assert isinstance(box, Box)
    return abs(box.x + box.w / 2 - 225) < 40 and abs(box.y + box.h / 2 - 125) < 40


@pytest.fixture(scope="module")
def net() -> Iterator[NudeNet]:
    detector = NudeNet()
    yield detector
    detector.close()


@pytest.fixture(scope="module")
def mtcnn() -> Mtcnn:
    return Mtcnn()


def turned(box: Box, quarter: int, side: int) -> tuple[float, float]:
    """The middle of a box in a square picture that was turned counter-clockwise."""
    x, y = box.x + box.w / 2, box.y + box.h / 2
    for _ in range(quarter):
        x, y = y, side - x
    return x, y


@pytest.mark.parametrize("quarter", range(4))
def test_mtcnn_finds_a_face_where_it_is_however_the_picture_is_turned(mtcnn: Mtcnn, quarter: int) -> None:
    (signals,) = mtcnn.detect([np.rot90(ASTRONAUT, quarter)], [()])

    x, y = turned(FACE, quarter, 512)
    boxes = [signal.evidence for signal in signals]
    assert any(abs(box.x + box.w / 2 - x) < 30 and abs(box.y + box.h / 2 - y) < 30 for box in boxes)


def test_mtcnn_finds_nothing_on_a_plain_ground(mtcnn: Mtcnn) -> None:
    assert mtcnn.detect([FLAT], [()]) == [()]


@pytest.mark.parametrize(("height", "width"), [(8, 8), (8, 400), (13, 11), (700, 12)])
def test_mtcnn_takes_pictures_smaller_than_any_face(mtcnn: Mtcnn, height: int, width: int) -> None:
    assert mtcnn.detect([np.zeros((height, width, 3), np.uint8)], [()]) == [()]


def test_nudenet_finds_a_face_and_a_person_in_each_picture_of_a_batch(net: NudeNet) -> None:
    first, second = net.detect([FLAT, ASTRONAUT], [(), ()])

    assert first == ()
    boxed = [signal for signal in second if signal.evidence]
    assert {signal.category for signal in boxed if covers_face(signal)} == {"concept.face", "concept.person"}


def test_nudenet_counts_the_people_of_a_picture(net: NudeNet) -> None:
    (found,) = net.detect([np.hstack([ASTRONAUT[:256, 100:356]] * 3)], [()])

    assert {signal.score for signal in found if signal.category == "concept.people"} == {0.3}


def test_nudenet_finds_first_what_its_package_finds(net: NudeNet) -> None:
    """Given the package's own reading, in a process of its own, when ours reads the network, then both say the same."""
    script = (
        "import json, nudenet; from skimage import data; picture = data.astronaut()\n"
        "print(json.dumps(nudenet.NudeDetector().detect(picture)))"
    )
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout

    (parts,) = net._ask({"shapes": [ASTRONAUT.shape[:2]]}, [ASTRONAUT.tobytes()])["found"]

    assert len(parts) == len(json.loads(said))
    for ours, theirs in zip(parts, json.loads(said), strict=True):
        assert (ours["class"], ours["box"]) == (theirs["class"], theirs["box"])
        assert ours["seen"] == pytest.approx(theirs["score"], abs=1e-4)


def test_nudenet_boxes_are_in_pixels_of_the_picture(net: NudeNet) -> None:
    large = np.kron(ASTRONAUT, np.ones((4, 4, 1), np.uint8))

    boxes = [signal.evidence for signal in net.detect([large], [()])[0] if signal.category == "concept.face"]

    assert any(isinstance(box, Box) and abs(box.x + box.w / 2 - 900) < 160 for box in boxes)


def test_a_portrait_is_not_sexual(net: NudeNet) -> None:
    (signals,) = net.detect([ASTRONAUT], [()])

    assert "sexual" not in {signal.category for signal in signals}


def test_a_dead_process_fails_the_request_and_the_next_one_finds_it_back(net: NudeNet) -> None:
    assert net._process is not None
    net._process._process.kill()

    with pytest.raises(Unavailable, match="does not answer"):
        net.detect([ASTRONAUT], [()])
    assert net.detect([ASTRONAUT], [()]) != [()]


def test_without_the_package_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nudenet, "find_spec", lambda _name: None)

    with pytest.raises(ConfigurationError, match=r"pip install 'portcullis\[nudenet\]'"):
        NudeNet()
