from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.image_filter import multi_index
from services.image_filter.multi_index import MOST_BITS, MultiIndex
from services.image_filter.regions import Bits


def flipped(hashes: Bits, counts: list[int], rng: np.random.Generator) -> Bits:
    """Each hash with as many of its bits turned as `counts` says."""
    bits = np.unpackbits(hashes, axis=1)
    for row, count in zip(bits, counts, strict=True):
        row[rng.choice(256, count, replace=False)] ^= 1
    return np.packbits(bits, axis=1)


def brute_force(known: Bits, queries: Bits) -> dict[int, int]:
    distances = np.bitwise_count(known[:, None] ^ queries[None]).sum(axis=2, dtype=np.int64).min(axis=1)
    return {int(place): int(distances[place]) for place in np.flatnonzero(distances <= MOST_BITS)}


@settings(deadline=None, max_examples=40)
@given(
    st.integers(0, 2**32 - 1), st.lists(st.integers(20, 40), min_size=1, max_size=12), st.sampled_from([1, 3, 1 << 18])
)
def test_it_finds_what_comparing_with_every_hash_finds(seed: int, turned: list[int], at_once: int) -> None:
    rng = np.random.default_rng(seed)
    queries = rng.integers(0, 256, (len(turned), 32), dtype=np.uint8)
    near = flipped(queries, turned, rng)
    known = np.concatenate([near, near[:2], rng.integers(0, 256, (20, 32), dtype=np.uint8)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(multi_index, "_AT_ONCE", at_once)

        places, bits = MultiIndex(known).search(queries)

    assert dict(zip(places.tolist(), bits.tolist(), strict=True)) == brute_force(known, queries)


@pytest.mark.parametrize("turned", [0, 1, 30, 31])
def test_the_worst_spread_of_bits_is_found(turned: int) -> None:
    """One bit in each piece and one more in all but one: as far apart as 31 bits can be."""
    known = np.zeros((1, 32), np.uint8)
    bits = np.zeros(256, np.uint8)
    places = [16 * piece + offset for offset in (0, 1) for piece in range(16)]
    bits[places[:turned]] = 1

    _, distances = MultiIndex(known).search(np.packbits(bits)[None])

    assert distances.tolist() == [turned]


def test_nothing_is_found_at_32_bits() -> None:
    known = np.zeros((1, 32), np.uint8)
    query = np.r_[np.full(4, 255, np.uint8), np.zeros(28, np.uint8)][None]

    places, _ = MultiIndex(known).search(query)

    assert not len(places)


def test_an_empty_index_and_an_empty_query_find_nothing() -> None:
    none = np.empty((0, 32), np.uint8)

    assert not len(MultiIndex(none).search(np.zeros((1, 32), np.uint8))[0])
    assert not len(MultiIndex(np.zeros((1, 32), np.uint8)).search(none)[0])
