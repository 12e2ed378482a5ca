from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from skimage import data

from services.core.errors import InvalidInput, Unavailable
from services.core.imaging import Rgb
from services.core.signals import Box, ModelVersion, Signal
from services.image_filter.banks import Banks
from services.image_filter.detectors import Found
from services.image_filter.detectors.photo import distinct, face_score, joined
from services.image_filter.geometry import at_most, scaled_box, surroundings
from services.image_filter.pipeline import ImagePipeline
from services.image_filter.settings import ImageFilterSettings
from services.image_filter.text_reader import TextReader

READER = TextReader(ImageFilterSettings().text_finder_model)


def png(pixels: Rgb) -> bytes:
    file = BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def scene(seed: int) -> Rgb:
    """A few flat shapes on a plain ground, as the embedded generator paints them."""
    rng = np.random.default_rng(seed)
    pixels = np.full((256, 256, 3), rng.integers(0, 256, 3), np.uint8)
    y, x = np.mgrid[:256, :256]
    for _ in range(2):
        cx, cy, r = rng.uniform(60, 200), rng.uniform(60, 200), rng.uniform(25, 70)
        inside = (x - cx) ** 2 + (y - cy) ** 2 < r * r if rng.random() < 0.5 else (abs(x - cx) < r) & (abs(y - cy) < r)
        pixels[inside] = rng.integers(0, 256, 3)
    return pixels


@pytest.fixture(scope="module")
def pipeline() -> Iterator[ImagePipeline]:
    loaded = ImagePipeline.load(ImageFilterSettings())
    yield loaded
    loaded.close()


def scores(pipeline: ImagePipeline, pixels: Rgb) -> dict[str, float]:
    return pipeline.measure(png(pixels)).measurement.scores()


def test_a_photo_of_a_face_is_a_realistic_face(pipeline: ImagePipeline) -> None:
    found = scores(pipeline, data.astronaut())

    assert found["realistic_face"] >= 0.6
    assert found["concept.photo"] >= 0.5


def test_a_face_that_transparency_hides_is_seen(pipeline: ImagePipeline) -> None:
    hidden = np.dstack([data.astronaut(), np.zeros((512, 512), np.uint8)])
    hidden[:40, :40, 3] = 255

    assert scores(pipeline, hidden)["realistic_face"] >= 0.6


@pytest.mark.parametrize("picture", [data.coffee, data.chelsea, data.rocket])
def test_a_photo_without_a_face_is_a_photo_and_no_realistic_face(
    pipeline: ImagePipeline, picture: Callable[[], Rgb]
) -> None:
    found = scores(pipeline, picture())

    assert found.get("realistic_face", 0) < 0.4
    assert found["concept.photo"] >= 0.5


@pytest.mark.parametrize("picture", [data.coffee, data.chelsea, data.rocket, data.astronaut])
def test_a_dark_or_blurred_photo_is_still_a_photo(pipeline: ImagePipeline, picture: Callable[[], Rgb]) -> None:
    dark, blurred = (picture() * 0.45).astype(np.uint8), cv2.GaussianBlur(picture(), (0, 0), 1.5)

    assert min(scores(pipeline, look)["concept.photo"] for look in (dark, blurred)) >= 0.5


@pytest.mark.parametrize("seed", range(12))
def test_a_flat_scene_is_neither_photo_nor_face_nor_explicit(pipeline: ImagePipeline, seed: int) -> None:
    found = scores(pipeline, scene(seed))

    assert found["concept.photo"] < 0.5
    assert found.get("realistic_face", 0) < 0.4
    assert found.get("sexual", 0) < 0.4


def test_the_measurement_names_models_and_times(pipeline: ImagePipeline) -> None:
    measured = pipeline.measure(png(scene(1)))

    steps = {"sanitise", "nudenet", "mtcnn", "photo", "age", "skin-map", "laplacian", "text-reader", "banks"}
    assert set(measured.measurement.timings) == steps
    models = steps - {"sanitise", "text-reader"} | {"text-finder", "pp-ocr"}
    assert {model.name for model in measured.measurement.models} == models


def test_every_detector_names_its_licence(pipeline: ImagePipeline) -> None:
    licences = {source.partition("/")[0]: licence for source, licence in pipeline.licences.items()}

    assert (licences["nudenet"], licences["photo"]) == ("AGPL-3.0-only", "Apache-2.0")
    assert all(licences.values())


def test_several_threads_measure_at_once(pipeline: ImagePipeline) -> None:
    file = png(data.astronaut()[:256, 100:356])
    with ThreadPoolExecutor(4) as threads:
        results = list(threads.map(lambda _: pipeline.measure(file).measurement.scores(), range(8)))

    assert all(result == pytest.approx(results[0]) for result in results)


def test_a_bad_file_is_refused(pipeline: ImagePipeline) -> None:
    with pytest.raises(InvalidInput):
        pipeline.measure(b"not a picture")


class Broken:
    """A detector that cannot look."""

    model = ModelVersion("broken", "1")
    categories = frozenset({"sexual"})

    def detect(self, batch: Sequence[Rgb], found: Sequence[Found]) -> list[Found]:
        raise Unavailable("cannot look")

    def close(self) -> None: ...


def test_a_detector_that_errs_fails_the_request() -> None:
    with pytest.raises(Unavailable):
        ImagePipeline((Broken(),), (), Banks((), "none"), READER).measure(png(scene(1)))


def find(score: float, box: Box) -> Signal:
    return Signal("concept.face", score, "test", box)


def test_finds_of_one_face_count_once_by_the_surest() -> None:
    near, sure, other = find(0.5, Box(10, 10, 50, 50)), find(0.9, Box(12, 9, 50, 52)), find(0.7, Box(200, 10, 50, 50))

    assert distinct((near, sure, other)) == [sure, other]


def test_what_is_found_and_looks_like_a_face_is_surer_than_either_alone() -> None:
    assert face_score(0.9, 0.9) > 0.9 > face_score(0.9, 0.1) > face_score(0.1, 0.1)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=9))
def test_the_joined_is_a_probability_no_lower_than_the_lowest_view(views: list[float]) -> None:
    assert min(views) - 1e-3 <= joined(views, 0.4) <= 1


def test_what_is_in_doubt_counts_as_a_photograph() -> None:
    assert joined([0.5, 0.5], 0.4) > 0.5


@given(st.integers(8, 300), st.integers(8, 300), st.tuples(*[st.integers(-50, 350)] * 2, *[st.integers(1, 400)] * 2))
def test_boxes_and_crops_stay_inside_the_picture(width: int, height: int, box: tuple[int, int, int, int]) -> None:
    picture = np.zeros((height, width, 3), np.uint8)

    inside = scaled_box(box, 1.0, picture)

    assert 0 <= inside.x < inside.x + inside.w <= width
    assert 0 <= inside.y < inside.y + inside.h <= height
    assert surroundings(picture, (inside.x, inside.y, inside.w, inside.h), 1.8).size > 0


@given(st.integers(1, 400), st.integers(1, 400))
def test_shrinking_keeps_within_the_side(width: int, height: int) -> None:
    small, factor = at_most(np.zeros((height, width, 3), np.uint8), 64)

    assert max(small.shape[:2]) <= 64
    assert factor == pytest.approx(max(1.0, max(width, height) / 64))
