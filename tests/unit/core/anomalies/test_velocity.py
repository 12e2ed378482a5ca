from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.core.anomalies.alarm import Alarm
from services.core.anomalies.velocity import HOUR_SECONDS, Velocity, step
from services.core.policy.anomaly_rules import VelocityRule

RULE = VelocityRule(per_hour=300, times=5.0, least=60, learn_hours=12)


def hours(state: Velocity, counts: list[int], first: int = 0) -> tuple[Velocity, list[Alarm]]:
    """So many requests in each hour, one after the other."""
    alarms: list[Alarm] = []
    for hour, count in enumerate(counts, start=first):
        for number in range(count):
            state, alarm = step(state, hour * HOUR_SECONDS + number, RULE)
            alarms += [alarm] if alarm else []
    return state, alarms


def test_a_newcomer_meets_the_absolute_bound_alone() -> None:
    state, before = hours(Velocity(), [300])

    _, alarm = step(state, 300, RULE)

    assert before == []
    assert alarm is not None
    assert "301 requests within an hour" in alarm.explanation


def test_an_account_that_is_used_to_little_is_told_apart_from_its_own_past() -> None:
    used_to, _ = hours(Velocity(), [8] * 30)

    _, alarms = hours(used_to, [120], first=30)

    assert [alarm.rule for alarm in alarms] == ["velocity"]


def test_what_is_usual_for_a_busy_account_is_no_alarm() -> None:
    used_to, _ = hours(Velocity(), [100] * 30)

    _, alarms = hours(used_to, [130], first=30)

    assert alarms == []


def test_nights_without_a_request_teach_nothing() -> None:
    days, _ = hours(Velocity(), [20] * 10)

    after_a_week, _ = step(days, 200 * HOUR_SECONDS, RULE)

    assert after_a_week.usual == days.usual


def test_one_mad_hour_does_not_become_the_normal() -> None:
    used_to, _ = hours(Velocity(), [8] * 30)
    once, _ = hours(used_to, [250], first=30)

    _, again = hours(once, [250], first=31)

    assert len(again) == 1


def test_an_hour_alarms_once() -> None:
    _, alarms = hours(Velocity(), [900])

    assert len(alarms) == 1


def test_a_clock_set_back_does_not_make_a_day_of_one_hour() -> None:
    ahead, _ = hours(Velocity(), [20] * 30 + [1], first=1000)

    _, alarms = hours(ahead, [20] * 24, first=900)

    assert alarms == []


@given(st.lists(st.floats(0, 1e10, allow_nan=False), max_size=60))
def test_a_clock_that_jumps_breaks_nothing(times: list[float]) -> None:
    state = Velocity()

    for at in times:
        state, _ = step(state, at, RULE)

    assert state.count <= len(times)
    assert state.spread > 0
