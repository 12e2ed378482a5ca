"""What crosses the wire comes back as it was."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from portcullis.v1 import checks_pb2 as pb
from services.core.rpc import convert
from services.core.signals import BankMatch, Box, Evidence, Lineage, Signal, TextSpan
from services.core.verdicts import Reason, Verdict

words = st.text(min_size=1, max_size=20)
pixels = st.integers(min_value=0, max_value=2**32 - 1)
scores = st.floats(min_value=0, max_value=1, width=32)
evidence: st.SearchStrategy[Evidence] = st.one_of(
    st.builds(TextSpan, pixels, pixels, st.sampled_from(["original", "undressed"])),
    st.builds(Box, pixels, pixels, pixels, pixels),
    st.builds(BankMatch, words, words, pixels),
    st.builds(Lineage, pixels, st.lists(words, max_size=3).map(tuple)),
)
signals = st.builds(Signal, words, scores, words, st.none() | evidence)
reasons = st.builds(
    Reason, words, words, scores, scores, st.sampled_from(Verdict), words, st.lists(evidence, max_size=3).map(tuple)
)


@given(signals)
def test_a_signal_survives_the_wire(signal: Signal) -> None:
    sent = convert.signal_to_proto(signal).SerializeToString()
    assert convert.signal_from_proto(pb.Signal.FromString(sent)) == signal


@given(reasons)
def test_a_reason_survives_the_wire(reason: Reason) -> None:
    sent = convert.reason_to_proto(reason).SerializeToString()
    assert convert.reason_from_proto(pb.Reason.FromString(sent)) == reason


@given(st.lists(signals, max_size=4), st.lists(signals, max_size=4))
def test_only_equal_signals_have_equal_digests(mine: list[Signal], theirs: list[Signal]) -> None:
    first, second = (
        convert.signals_digest(convert.signal_to_proto(signal) for signal in group) for group in (mine, theirs)
    )
    assert (first == second) == (mine == theirs)


def test_zero_means_no() -> None:
    assert convert.verdict(pb.VERDICT_UNSPECIFIED) is Verdict.BLOCK
    assert convert.tier(pb.TIER_UNSPECIFIED) == "new"
