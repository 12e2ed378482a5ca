"""A few seconds of every fuzzer: its seeds, and what comes of them when pieces are cut, doubled, moved and replaced.

`make fuzz` searches for longer, guided by coverage.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

TARGETS = {"prompts": 40, "images": 120, "policies": 60, "banks": 300, "manifests": 150, "messages": 600}


@cache
def seeds_of(target: str) -> dict[str, bytes]:
    return import_module(f"tests.fuzz.{target}").seeds()


@st.composite
def spoilt(draw: st.DrawFn, target: str) -> bytes:
    """A seed with up to four changes; its first letter, which chooses, mostly stays."""
    data = draw(st.sampled_from(list(seeds_of(target).values())))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0 if draw(st.integers(0, 9)) == 0 else 1, max(len(data), 1)))
        end = min(len(data), start + draw(st.integers(0, 16)))
        piece = draw(
            st.one_of(
                st.binary(max_size=12),
                st.text(max_size=6).map(str.encode),
                st.sampled_from([b"\0", b"\xff" * 4, b'"', b"[" * 50, b"{", b": ", b"\n", b"-1", b"1e999", b"nan"]),
                st.just(data[start : start + 64] * 2),
            )
        )
        data = data[:start] + piece + data[end:]
    return data


@pytest.mark.parametrize("target", TARGETS)
def test_its_seeds_are_let_in_but_for_the_bad_ones(target: str) -> None:
    taken = import_module(f"tests.fuzz.{target}").taken
    wrong = {name for name, seed in seeds_of(target).items() if taken(seed) == name.startswith("bad-")}
    assert wrong == set()


@pytest.mark.parametrize("target", TARGETS)
def test_nothing_breaks_on_what_is_spoilt(target: str) -> None:
    taken = import_module(f"tests.fuzz.{target}").taken

    @settings(
        max_examples=TARGETS[target],
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(spoilt(target))
    def run(data: bytes) -> None:
        taken(data)

    run()
