"""The convolutional code and the keyed check."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from services.provenance.watermark import code
from services.provenance.watermark.payload import PayloadCode

messages = st.lists(st.integers(0, 1), min_size=1, max_size=96).map(lambda bits: np.array(bits, np.uint8))
payloads = st.lists(st.integers(0, 1), min_size=64, max_size=64).map(lambda bits: np.array(bits, np.uint8))


@given(messages)
def test_a_clean_message_comes_back(message: np.ndarray) -> None:
    assert np.array_equal(code.decode(code.encode(message)), message)


@given(messages, st.floats(0.01, 1000.0))
def test_the_scale_of_soft_values_does_not_matter(message: np.ndarray, scale: float) -> None:
    assert np.array_equal(code.decode(code.encode(message) * np.float32(scale)), message)


@given(messages, st.data())
def test_eleven_wrong_signs_are_corrected(message: np.ndarray, data: st.DataObject) -> None:
    """Free distance 24: any 11 errors can be undone."""
    sent = code.encode(message)
    wrong = data.draw(st.lists(st.integers(0, len(sent) - 1), max_size=11, unique=True))
    sent[wrong] *= -1

    assert np.array_equal(code.decode(sent), message)


@given(payloads)
def test_a_payload_comes_back_with_its_check(bits: np.ndarray) -> None:
    codec = PayloadCode(64, b"k" * 32)

    found, ok = codec.decode(codec.encode(bits))

    assert ok
    assert np.array_equal(found, bits)


@given(payloads)
def test_another_key_does_not_pass_the_check(bits: np.ndarray) -> None:
    _, ok = PayloadCode(64, b"b" * 32).decode(PayloadCode(64, b"a" * 32).encode(bits))

    assert not ok


@given(st.integers(0, 2**32))
def test_noise_does_not_pass_the_check(seed: int) -> None:
    codec = PayloadCode(64, b"k" * 32)
    noise = np.random.default_rng(seed).normal(size=codec.length).astype(np.float32)

    assert not codec.decode(noise)[1]
