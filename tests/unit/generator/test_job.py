from __future__ import annotations

import hashlib

import pytest

from services.core.errors import InvalidInput
from services.core.signals import ModelVersion
from services.generator.job import MAX_SEED, check_inputs, check_numbers, request_digest

MODEL = ModelVersion("scenes", "1", "ab" * 32)


@pytest.mark.parametrize(
    ("field", "operation", "count", "size", "steps", "seed"),
    [
        ("count", "create", 0, 0, 0, 0),
        ("count", "create", 5, 0, 0, 0),
        ("count", "edit", 4, 0, 0, 0),
        ("count", "variation", 4, 0, 0, 0),
        ("size", "create", 1, 255, 0, 0),
        ("steps", "create", 1, 256, 101, 0),
        ("steps", "create", 1, 256, 10_000, 0),
        ("seed", "create", 1, 256, 1, MAX_SEED + 1),
    ],
)
def test_the_field_that_is_out_of_range_is_named(
    field: str, operation: str, count: int, size: int, steps: int, seed: int
) -> None:
    with pytest.raises(InvalidInput) as refusal:
        check_numbers(operation, count, size, steps, seed, (256,))
    assert refusal.value.violation.field == field


@pytest.mark.parametrize(("operation", "count"), [("create", 4), ("edit", 3), ("variation", 3)])
def test_the_largest_values_pass(operation: str, count: int) -> None:
    check_numbers(operation, count, 256, 100, MAX_SEED, (256,))


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
        '{"inputs":{"prompt":"00"},"model":{"digest":"' + "ab" * 32 + '","name":"scenes","version":"1"},'
        '"operation":"create","seed":7,"size":256,"steps":16}'
    )
    digest = request_digest("create", {"prompt": "00"}, 256, 16, 7, MODEL)
    assert digest == hashlib.sha256(written.encode()).hexdigest()


def test_every_part_changes_the_digest() -> None:
    parts = {"operation": "create", "inputs": {"prompt": "00"}, "size": 256, "steps": 16, "seed": 7, "model": MODEL}
    others = {
        "operation": "edit",
        "inputs": {"prompt": "01"},
        "size": 128,
        "steps": 15,
        "seed": 8,
        "model": ModelVersion("scenes", "2", "ab" * 32),
    }
    digests = {request_digest(**parts)} | {request_digest(**{**parts, name: value}) for name, value in others.items()}
    assert len(digests) == 1 + len(others)
