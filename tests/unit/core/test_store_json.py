from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from services.core.rpc import convert
from services.core.signals import BankMatch, Box, Lineage, Signal, TextSpan
from services.core.store.decisions import SIGNALS
from services.core.store.review_items import REASONS
from services.core.verdicts import Reason, Verdict

NUMBERS = st.integers(0, 2**31)
SCORES = st.floats(0, 1)
EVIDENCE = st.one_of(
    st.builds(TextSpan, NUMBERS, NUMBERS, st.sampled_from(["original", "undressed"])),
    st.builds(Box, NUMBERS, NUMBERS, NUMBERS, NUMBERS),
    st.builds(BankMatch, st.text(), st.text(), NUMBERS),
    st.builds(Lineage, NUMBERS, st.lists(st.text(), max_size=3).map(tuple)),
)
REASON = st.builds(
    Reason,
    st.text(),
    st.text(),
    SCORES,
    SCORES,
    st.sampled_from(Verdict),
    st.text(),
    st.lists(EVIDENCE, max_size=3).map(tuple),
)
SIGNAL = st.builds(Signal, st.text(), SCORES, st.text(), st.none() | EVIDENCE)


@given(st.lists(REASON, max_size=3).map(tuple))
def test_reasons_survive_json(reasons: tuple[Reason, ...]) -> None:
    assert REASONS.validate_python(json.loads(json.dumps(REASONS.dump_python(reasons, mode="json")))) == reasons


@given(st.lists(SIGNAL, max_size=3).map(tuple))
def test_signals_survive_json(signals: tuple[Signal, ...]) -> None:
    assert SIGNALS.validate_python(json.loads(json.dumps(SIGNALS.dump_python(signals, mode="json")))) == signals


@given(st.lists(SIGNAL, max_size=3))
def test_what_a_clearance_binds_of_signals_survives_the_books(signals: list[Signal]) -> None:
    sent = [convert.signal_to_proto(signal) for signal in signals]
    kept = SIGNALS.dump_python(tuple(map(convert.signal_from_proto, sent)), mode="json")
    back = SIGNALS.validate_python(json.loads(json.dumps(kept)))
    assert convert.signals_digest(map(convert.signal_to_proto, back)) == convert.signals_digest(sent)
