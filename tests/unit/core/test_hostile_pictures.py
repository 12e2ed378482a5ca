"""Every hostile file is answered, and the decoders go on. The whole corpus: benchmarks/hostile_images.py."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import cache

import pytest

from services.core import imaging
from services.core.errors import InvalidInput
from tests.unit.core import hostile_pictures
from tests.unit.core.hostile_pictures import Files, gradient, honest, saved

# Whatever the machine is doing: how long a file takes is the benchmark's to say.
PATIENT = imaging.Limits(cpu_seconds=10, wall_seconds=60)
QUICK = [
    hostile_pictures.truncated,
    hostile_pictures.flipped,
    hostile_pictures.strangers,
    hostile_pictures.polyglots,
    hostile_pictures.png_tricks,
    hostile_pictures.jpeg_tricks,
    hostile_pictures.gif_tricks,
    hostile_pictures.webp_tricks,
]


def answer(data: bytes) -> imaging.Sanitised | str:
    """The picture, or what its sender is told."""
    try:
        return imaging.sanitise(data, PATIENT)
    except InvalidInput as error:
        return error.violation.description


@cache
def honest_answer() -> str:
    return imaging.sanitise(saved(gradient())).sha256


@pytest.mark.parametrize("family", QUICK, ids=lambda family: family.__name__)
def test_every_file_is_answered_and_the_next_honest_one_passes(family: Callable[[], Files]) -> None:
    files = list(family())
    sample = random.Random(7).sample(files, min(len(files), 120))

    answers = {name: answer(data) for name, data in sample}

    assert all(answers.values())
    assert imaging.sanitise(saved(gradient())).sha256 == honest_answer()


@pytest.mark.parametrize("name", honest())
def test_every_honest_file_of_the_corpus_passes(name: str) -> None:
    assert isinstance(answer(honest()[name]), imaging.Sanitised)


def test_no_stranger_passes() -> None:
    passed = [name for name, data in hostile_pictures.strangers() if isinstance(answer(data), imaging.Sanitised)]

    # Motion clips and gain maps follow the photographs of phones; they are dropped.
    assert passed == [f"{clip} behind JPEG" for clip in ("heic", "avif", "mp4")]


def test_no_polyglot_passes() -> None:
    passed = [name for name, data in hostile_pictures.polyglots() if isinstance(answer(data), imaging.Sanitised)]

    assert all(" behind jpeg" in name and name.startswith("jpeg") for name in passed if " behind " in name)
    assert all(under(name) for name in passed if " under " in name)


def under(name: str) -> bool:
    """Twelve bytes of the same format change nothing."""
    first, other = name.split(" under the first bytes of ")
    return first.split("-")[0] == other.split("-")[0]


@pytest.mark.parametrize("name", honest())
def test_no_truncated_file_passes(name: str) -> None:
    cut = [
        data for title, data in hostile_pictures.truncated() if title.startswith(f"{name} ") and "put back" not in title
    ]

    assert not [data for data in cut if isinstance(answer(data), imaging.Sanitised)]


def test_only_a_jpeg_may_miss_rows_behind_a_good_end() -> None:
    mended = [(name, data) for name, data in hostile_pictures.truncated() if "put back" in name]

    passed = {name.split(" ")[0].split("-")[0] for name, data in mended if isinstance(answer(data), imaging.Sanitised)}

    assert passed == {"jpeg"}


def test_hundreds_of_scans_are_refused_before_decoding() -> None:
    many = hostile_pictures.repeated_scans(honest()["jpeg-progressive"], 300)

    assert "more than 64 scans" in str(answer(many))


def test_a_photograph_of_two_pictures_is_no_animation() -> None:
    two = saved(gradient(), "MPO", save_all=True, append_images=[gradient(24, 16)])

    found = answer(two)

    assert isinstance(found, imaging.Sanitised)
    assert (found.width, found.height) == (48, 32)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP"])
def test_animations_are_told_what_to_send(kind: str) -> None:
    moving = saved(gradient(), kind, save_all=True, append_images=[gradient().rotate(180)], duration=50)

    assert answer(moving) == "animated pictures are not allowed; send one frame"
