from __future__ import annotations

import hashlib
import math
from dataclasses import replace

import pytest

from services.core.errors import InvalidInput
from services.core.signals import ModelVersion
from services.generator.job import MAX_SEED, Numbers, check_inputs, check_model, check_numbers, request_digest

MODEL = ModelVersion("scenes", "1", "ab" * 32)
LEAST = Numbers(count=1, size=0, steps=0, seed=0, guidance=0.0)
NUMBERS = Numbers(count=2, size=256, steps=16, seed=7, guidance=2.0)


@pytest.mark.parametrize(
    ("field", "operation", "values"),
    [
        ("count", "create", {"count": 0}),
        ("count", "create", {"count": 5}),
        ("count", "edit", {"count": 4}),
        ("count", "variation", {"count": 4}),
        ("size", "create", {"size": 255}),
        ("steps", "create", {"steps": 101}),
        ("steps", "create", {"steps": 10_000}),
        ("seed", "create", {"seed": MAX_SEED + 1}),
        ("guidance", "create", {"guidance": 0.5}),
        ("guidance", "create", {"guidance": 30.5}),
        ("guidance", "edit", {"guidance": -1.0}),
        ("guidance", "create", {"guidance": math.nan}),
        ("guidance", "create", {"guidance": math.inf}),
    ],
)
def test_the_field_that_is_out_of_range_is_named(field: str, operation: str, values: dict[str, float]) -> None:
    with pytest.raises(InvalidInput) as refusal:
        check_numbers(operation, replace(LEAST, **values), (256,))
    assert refusal.value.violation.field == field


@pytest.mark.parametrize(("operation", "count"), [("create", 4), ("edit", 3), ("variation", 3)])
def test_the_largest_values_pass(operation: str, count: int) -> None:
    check_numbers(operation, Numbers(count, 256, 100, MAX_SEED, 30.0), (256,))


def test_what_is_left_open_is_the_models_own() -> None:
    assert LEAST.completed(256, 8, 2.0) == Numbers(1, 256, 8, 0, 2.0)


def test_what_is_said_stays() -> None:
    said = Numbers(1, 128, 4, 5, 3.0)
    assert said.completed(256, 8, 2.0) == said


@pytest.mark.parametrize("wanted", ["", "scenes", "scenes/1"])
def test_the_loaded_model_may_be_named(wanted: str) -> None:
    check_model(wanted, MODEL)


@pytest.mark.parametrize("wanted", ["scenes/2", "other", "Scenes"])
def test_another_model_is_refused(wanted: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        check_model(wanted, MODEL)
    assert refusal.value.violation.field == "model"


@pytest.mark.parametrize(
    ("field", "operation", "prompt", "image", "mask"),
    [
        ("prompt", "create", "", b"", b""),
        ("prompt", "create", " \n", b"", b""),
        ("image", "create", "a circle", b"png", b""),
        ("image", "edit", "a circle", b"", b"png"),
        ("mask", "edit", "a circle", b"png", b""),
        ("prompt", "variation", "a circle", b"png", b""),
        ("mask", "variation", "", b"png", b"png"),
    ],
)
def test_what_lacks_or_is_too_much_is_named(field: str, operation: str, prompt: str, image: bytes, mask: bytes) -> None:
    with pytest.raises(InvalidInput) as refusal:
        check_inputs(operation, prompt, "", image, mask)
    assert refusal.value.violation.field == field


def test_a_variation_takes_no_negative_prompt() -> None:
    with pytest.raises(InvalidInput) as refusal:
        check_inputs("variation", "", "blurry", b"png", b"")
    assert refusal.value.violation.field == "negative_prompt"


def test_the_digest_is_that_of_the_canonical_json() -> None:
    written = (
        '{"guidance":2.0,"inputs":{"prompt":"00"},"model":{"digest":"' + "ab" * 32 + '","name":"scenes","version":"1"},'
        '"operation":"create","seed":7,"size":256,"steps":16}'
    )
    digest = request_digest("create", {"prompt": "00"}, NUMBERS, MODEL)
    assert digest == hashlib.sha256(written.encode()).hexdigest()


def test_every_part_changes_the_digest() -> None:
    parts = {"operation": "create", "inputs": {"prompt": "00"}, "numbers": NUMBERS, "model": MODEL}
    others = [
        {"operation": "edit"},
        {"inputs": {"prompt": "01"}},
        {"numbers": replace(NUMBERS, size=128)},
        {"numbers": replace(NUMBERS, steps=15)},
        {"numbers": replace(NUMBERS, seed=8)},
        {"numbers": replace(NUMBERS, guidance=3.0)},
        {"model": ModelVersion("scenes", "2", "ab" * 32)},
    ]
    digests = {request_digest(**parts)} | {request_digest(**{**parts, **other}) for other in others}
    assert len(digests) == 1 + len(others)
