"""The convolutional code and the keyed check."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from services.provenance.watermark import code
from services.provenance.watermark.payload import PayloadCode
from services.provenance.watermark.tile import VARIANTS

messages = st.lists(st.integers(0, 1), min_size=24, max_size=96).map(lambda bits: np.array(bits, np.uint8))
payloads = st.lists(st.integers(0, 1), min_size=64, max_size=64).map(lambda bits: np.array(bits, np.uint8))


@given(messages)
def test_a_clean_message_comes_back(message: np.ndarray) -> None:
    assert np.array_equal(code.decode(code.encode(message)), message)


@given(messages, st.floats(0.01, 1000.0))
def test_the_scale_of_soft_values_does_not_matter(message: np.ndarray, scale: float) -> None:
    assert np.array_equal(code.decode(code.encode(message) * np.float32(scale)), message)


@given(st.lists(st.integers(0, 1), min_size=72, max_size=72), st.data())
def test_twenty_wrong_signs_are_corrected(message: list[int], data: st.DataObject) -> None:
    sent = code.encode(np.array(message, np.uint8))
    wrong = data.draw(st.lists(st.integers(0, len(sent) - 1), max_size=20, unique=True))
    sent[wrong] *= -1

    assert code.decode(sent).tolist() == message


@given(messages, st.integers(0, 95))
def test_the_code_has_no_beginning(message: np.ndarray, turn: int) -> None:
    """Tail-biting: a message turned around is coded as the coded message turned around."""
    turned = code.encode(np.roll(message, turn))

    assert np.array_equal(turned, np.roll(code.encode(message), turn * code.RATE))


@given(payloads)
def test_a_payload_comes_back_on_its_variant(bits: np.ndarray) -> None:
    codec = PayloadCode(64, b"k" * 32)

    found = codec.decode(codec.encode(bits), codec.variant(bits))

    assert found is not None
    assert np.array_equal(found, bits)


@given(payloads, st.integers(1, VARIANTS - 1))
def test_a_payload_on_another_variant_is_none(bits: np.ndarray, steps: int) -> None:
    codec = PayloadCode(64, b"k" * 32)

    assert codec.decode(codec.encode(bits), (codec.variant(bits) + steps) % VARIANTS) is None


@given(payloads)
def test_another_key_does_not_pass_the_check(bits: np.ndarray) -> None:
    """All but once in 256, and then the variant is another, all but once in 1,024: none of these examples."""
    theirs, ours = PayloadCode(64, b"a" * 32), PayloadCode(64, b"b" * 32)

    assert ours.decode(theirs.encode(bits), theirs.variant(bits)) is None


@given(st.integers(0, 2**32))
def test_noise_does_not_pass_the_check(seed: int) -> None:
    codec = PayloadCode(64, b"k" * 32)
    noise = np.random.default_rng(seed).normal(size=codec.length).astype(np.float32)

    assert codec.decode(noise, seed % VARIANTS) is None
