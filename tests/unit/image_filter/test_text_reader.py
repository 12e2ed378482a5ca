"""What the reader of text in pictures finds, and that what it cannot do is told."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib import get_data_path
from skimage import data

from services.core.errors import ConfigurationError, Unavailable
from services.core.imaging import Rgb
from services.image_filter import text_lines
from services.image_filter.settings import ImageFilterSettings
from services.image_filter.text_blocks import Line, blocks, box_of
from services.image_filter.text_finder import Region, TextFinder
from services.image_filter.text_lines import Read
from services.image_filter.text_places import PIXELS, WORK, Work, cost, places, within_budget
from services.image_filter.text_reader import TextReader
from training.text_finder.paint import Style, paint, stencil

FONT = Path(get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
FINDER = ImageFilterSettings().text_finder_model
FAINT = np.full((2048, 2048, 3), 128, np.uint8)


@pytest.fixture(scope="module")
def reader() -> TextReader:
    return TextReader(FINDER)


@pytest.fixture(scope="module")
def finder() -> TextFinder:
    return TextFinder(FINDER)


def photo() -> Rgb:
    return np.asarray(cv2.resize(data.coffee(), (900, 600)), np.uint8)


def written(
    *lines: str, ground: Rgb | None = None, size: int = 40, angle: float = 0.0, x: int = 120, y: int = 60
) -> Rgb:
    style = Style(FONT, size, (255, 255, 255), angle, outline=(0, 0, 0))
    return paint(photo() if ground is None else ground, stencil(lines, style), style, x, y)[0]


def said(reader: TextReader, picture: Rgb) -> str:
    return " / ".join(text.text for text in reader.read([picture])[0].texts).lower()


def mirrored(picture: Rgb) -> Rgb:
    return np.ascontiguousarray(picture[:, ::-1])


def faint() -> Rgb:
    style = Style(FONT, 44, (150, 150, 150))
    return paint(np.full((400, 900, 3), 118, np.uint8), stencil(["fresh bread"], style), style, 100, 100)[0]


@pytest.mark.parametrize(
    "picture",
    [
        lambda: written("fresh bread"),
        lambda: written("fresh bread", size=17),
        lambda: written("fresh bread", size=110),
        lambda: written("fresh bread", angle=90),
        lambda: written("fresh bread", angle=180),
        lambda: written("fresh bread", angle=270),
        lambda: written("fresh bread", angle=25),
        lambda: mirrored(written("fresh bread")),
        faint,
    ],
    ids=["plain", "small", "large", "90", "180", "270", "slanted", "mirrored", "faint"],
)
def test_print_is_read_however_it_stands(reader: TextReader, picture: Callable[[], Rgb]) -> None:
    assert "fresh bread" in said(reader, picture())


def test_lines_below_each_other_are_one_text_with_one_box(reader: TextReader) -> None:
    picture = written("we bake our", "bread at night")

    *_, text = reader.read([picture])[0].texts

    assert text.joined
    assert text.text.lower() == "we bake our bread at night"
    assert 100 < text.box.x < 220
    assert 300 < text.box.x + text.box.w < 560
    assert text.confidence > 0.8


def test_what_stands_far_apart_is_read_apart_and_together(reader: TextReader) -> None:
    picture = written("two slices", ground=written("of fresh bread", y=480))

    texts = [text.text.lower() for text in reader.read([picture])[0].texts]

    assert texts == ["two slices", "of fresh bread", "two slices of fresh bread"]


@pytest.mark.parametrize("picture", [data.coffee, data.chelsea])
def test_a_photograph_without_text_is_not_read(finder: TextFinder, picture: Callable[[], Rgb]) -> None:
    assert finder.find(picture()) == []


@pytest.mark.parametrize("size", [(8, 8), (8, 900), (900, 8), (33, 47)])
def test_pictures_of_any_shape_are_looked_at(reader: TextReader, size: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (*size, 3)).astype(np.uint8)

    assert reader.read([noise])[0].whole


def test_a_region_holds_the_whole_text(finder: TextFinder) -> None:
    (region,) = finder.find(written("fresh bread"))

    assert region.x < 140
    assert region.x + region.w > 370
    assert 20 < region.letters < 60


def test_a_page_full_of_text_is_told_to_be_read_in_part(reader: TextReader) -> None:
    page = np.full((2048, 1600, 3), 255, np.uint8)
    style = Style(FONT, 18, (0, 0, 0))
    page = paint(
        page,
        stencil(["the bread is baked at night and sold in the morning while it is warm"] * 80, style),
        style,
        40,
        40,
    )[0]

    assert not reader.read([page])[0].whole


@given(st.lists(st.tuples(st.integers(16, 2000), st.integers(16, 2000), st.floats(4, 700)), min_size=1, max_size=30))
def test_there_is_always_something_looked_at_and_never_more_than_there_is(sizes: list[tuple[int, int, float]]) -> None:
    regions = [Region(0, 0, w, h, letters, 0.9) for w, h, letters in sizes]

    chosen, _ = within_budget(regions, 100_000)

    assert chosen
    assert all(zoom > 0 and part.h >= 1 and part.y + part.h <= 2000 for part, zoom in chosen)


@given(
    st.lists(
        st.tuples(st.integers(0, 1800), st.integers(0, 1800), st.integers(16, 2000), st.floats(4, 700)),
        min_size=1,
        max_size=30,
    ),
    st.sampled_from([FAINT, np.random.default_rng(0).integers(0, 256, (2048, 2048, 3)).astype(np.uint8)]),
)
def test_looking_for_lines_leaves_time_to_read_them(corners: list[tuple[int, int, int, float]], picture: Rgb) -> None:
    regions = [Region(x, y, min(w, 2048 - x), min(w, 2048 - y), letters, 0.9) for x, y, w, letters in corners]

    looked_at, _ = places(picture, regions)

    assert Work(picture).left - cost(looked_at) > WORK / 5


@pytest.mark.parametrize("lines", [8, 60])
def test_no_picture_costs_more_than_its_budget(reader: TextReader, monkeypatch: pytest.MonkeyPatch, lines: int) -> None:
    pixels, read = [], []
    detect = reader._lines.detect
    monkeypatch.setattr(reader._lines, "detect", lambda p: pixels.append(p.shape[0] * p.shape[1]) or detect(p))
    monkeypatch.setattr(
        reader._lines, "read", lambda strips: [read.append(s.shape[1]) or Read("hm", 0.6) for s in strips]
    )
    page = written(*["the quick brown fox " * 6] * lines, ground=np.full((1700, 1700, 3), 90, np.uint8), size=24, x=5)

    reader.read([page])

    assert read
    assert sum(pixels) / PIXELS + sum(read) <= WORK


def test_a_reader_that_errs_fails_the_request(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = TextReader(FINDER)

    def broken(*_: object) -> None:
        raise ValueError("any")

    monkeypatch.setattr(reader._lines, "detect", broken)

    with pytest.raises(Unavailable):
        reader.read([written("fresh bread")])


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, text_lines.PACKAGE, None)
    monkeypatch.setattr(text_lines, "find_spec", lambda _: None)

    with pytest.raises(ConfigurationError, match="pip install --no-deps rapidocr-onnxruntime"):
        TextReader(FINDER)


def line(text: str, x: float, y: float, w: float, h: float = 20, angle: float = 0.0, mirror: bool = False) -> Line:
    corners = np.array([[x, y], [x + w, y], [x + w, y + h], [x, y + h]], np.float32)
    if mirror:
        corners = corners[[1, 0, 3, 2]]
    turn = np.radians(angle)
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]], np.float32)
    return Line(text, 0.9, (corners @ matrix.T).astype(np.float32), mirror)


def joined(lines: list[Line]) -> list[str]:
    return [" ".join(line.text for line in block) for block in blocks(lines)]


@pytest.mark.parametrize("angle", [0, 30, 90, 180, 250])
def test_a_block_is_read_row_by_row_at_any_angle(angle: float) -> None:
    lines = [line("d", 60, 30, 40, angle=angle), line("a", 0, 0, 50, angle=angle), line("c", 0, 31, 50, angle=angle)]
    lines.append(line("b", 60, 1, 40, angle=angle))

    assert joined(lines) == ["a b c d"]


def test_a_mirrored_block_is_read_from_the_right() -> None:
    lines = [line("b", 0, 0, 50, mirror=True), line("a", 60, 0, 50, mirror=True), line("c", 20, 30, 90, mirror=True)]

    assert joined(lines) == ["a b c"]


def test_lines_of_other_height_or_far_away_are_other_blocks() -> None:
    lines = [line("title", 0, 0, 200, h=80), line("small", 0, 90, 100, h=14), line("far", 0, 400, 100)]

    assert joined(lines) == ["title", "small", "far"]


@given(st.lists(st.tuples(*[st.floats(-50, 300)] * 2, st.floats(5, 200), st.floats(3, 60)), min_size=1, max_size=12))
def test_every_line_is_in_one_block_and_every_box_inside(places: list[tuple[float, float, float, float]]) -> None:
    lines = [line(str(number), *place) for number, place in enumerate(places)]

    found = blocks(lines)

    assert sorted(one.text for block in found for one in block) == sorted(one.text for one in lines)
    for block in found:
        box = box_of(block, 200, 200)
        assert 0 <= box.x < box.x + box.w <= 200
        assert 0 <= box.y < box.y + box.h <= 200
