from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from services.core.anomalies.alarm import Alarm
from services.core.anomalies.probing import MOST_TOPICS, Topics, step
from services.core.policy.anomaly_rules import ProbingRule

RULE = ProbingRule(near_bits=64, patience=3, tries=5, half_life_hours=72.0)
DAY = 86400.0


def other(sketch: bytes, bits: int, seed: int) -> bytes:
    """A sketch that differs in so many bits."""
    number = int.from_bytes(sketch, "big")
    for place in random.Random(seed).sample(range(8 * len(sketch)), bits):
        number ^= 1 << place
    return number.to_bytes(len(sketch), "big")


def topic(seed: int) -> bytes:
    return random.Random(seed).randbytes(48)


def play(sketches: list[bytes], every: float = 60.0) -> tuple[Topics, list[Alarm]]:
    topics: Topics = ()
    alarms: list[Alarm] = []
    for place, sketch in enumerate(sketches):
        topics, _, alarm = step(topics, sketch, place * every, RULE)
        alarms += [alarm] if alarm else []
    return topics, alarms


def test_rewording_one_refused_prompt_again_and_again_is_probing() -> None:
    _, alarms = play([other(topic(1), 20, seed) for seed in range(9)])

    assert [alarm.rule for alarm in alarms] == ["probing"]
    assert "on 1 topic" in alarms[0].explanation


def test_three_tries_at_each_of_many_prompts_are_what_people_do() -> None:
    _, alarms = play([other(topic(place), 20, seed) for place in range(20) for seed in range(3)])

    assert alarms == []


def test_changing_the_topic_does_not_start_anew() -> None:
    _, alarms = play([other(topic(place), 20, seed) for place in range(3) for seed in range(5)])

    assert alarms


def test_tries_told_by_a_clock_far_ahead_fade_like_others() -> None:
    topics, _, _ = step((), topic(1), 1e9, RULE)
    topics, _, _ = step(topics, other(topic(1), 20, 1), 0.0, RULE)

    topics, near, _ = step(topics, other(topic(1), 20, 2), 30 * DAY, RULE)

    assert sum(each.tries for each in topics) < 2, (near, topics)


def test_a_program_that_sends_the_same_again_is_not_probing() -> None:
    topics, alarms = play([topic(1)] * 50)

    assert alarms == []
    assert topics[0].tries < 2


def test_different_refused_prompts_are_different_topics() -> None:
    topics, _ = play([topic(seed) for seed in range(5)])

    assert len(topics) == 5


def test_tries_are_forgotten_with_time() -> None:
    _, alarms = play([other(topic(1), 20, seed) for seed in range(30)], every=5 * DAY)

    assert alarms == []


def test_a_prompt_without_a_sketch_is_near_to_nothing() -> None:
    topics, again, alarm = step((), b"", 0.0, RULE)

    assert (topics, again, alarm) == ((), False, None)


def test_a_picture_is_not_compared_with_a_prompt() -> None:
    topics, _ = play([topic(1), random.Random(1).randbytes(32)])

    assert len(topics) == 2


@given(st.lists(st.tuples(st.binary(max_size=48), st.floats(-1e9, 1e10, allow_nan=False)), max_size=60))
def test_what_is_remembered_is_bounded_whatever_comes(seen: list[tuple[bytes, float]]) -> None:
    topics: Topics = ()

    for sketch, at in seen:
        topics, _, _ = step(topics, sketch, at, RULE)

    assert len(topics) <= MOST_TOPICS
    assert all(topic.tries <= len(seen) for topic in topics)
