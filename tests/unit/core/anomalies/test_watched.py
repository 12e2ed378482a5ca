from __future__ import annotations

import random
from dataclasses import replace

from pydantic import TypeAdapter

from services.core.anomalies.watched import Seen, Watched, step
from services.core.policy.anomaly_rules import AnomalyRules

RULES = AnomalyRules()
STATE: TypeAdapter[Watched] = TypeAdapter(Watched)


def refused(count: int, every: float = 60.0) -> list[Seen]:
    return [Seen(place * every, True, random.Random(place).randbytes(48)) for place in range(count)]


def play(state: Watched, seen: list[Seen]) -> tuple[Watched, list[str]]:
    fired: list[str] = []
    for each in seen:
        state, alarms = step(state, each, RULES)
        fired += [alarm.rule for alarm in alarms]
    return state, fired


def test_a_rule_that_fired_is_quiet_for_a_while() -> None:
    _, fired = play(Watched(), refused(40))

    assert fired == ["block_ratio"]


def test_after_that_while_it_fires_again() -> None:
    _, fired = play(Watched(), refused(40, every=3600.0))

    assert fired == ["block_ratio", "block_ratio"]


def test_tries_at_one_prompt_are_probing_and_not_a_ratio() -> None:
    sketch = bytearray(48)
    tries: list[Seen] = []
    for place in range(9):
        sketch[place] = 1
        tries.append(Seen(place * 60.0, True, bytes(sketch)))

    _, fired = play(Watched(), tries)

    assert fired == ["probing"]


def test_what_fired_by_a_clock_far_ahead_keeps_no_rule_quiet() -> None:
    state, fired = play(Watched(), [replace(seen, at=seen.at + 1e9) for seen in refused(40)])

    _, later = play(state, refused(40))

    assert fired + later == ["block_ratio", "block_ratio"]


def test_what_was_sealed_once_stays_sealed() -> None:
    state, _ = play(Watched(), [Seen(0.0, True, b"", sealed=True), Seen(1.0, False)])

    assert state.sealed


def test_a_gateway_that_starts_goes_on_where_another_stopped() -> None:
    seen = refused(40, every=3000.0)
    throughout = play(Watched(), seen)

    half, fired = play(Watched(), seen[:20])
    restored = STATE.validate_json(STATE.dump_json(half))
    after, later = play(restored, seen[20:])

    assert (after, [*fired, *later]) == throughout
