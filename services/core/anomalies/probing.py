"""Probing: the same refused thing tried in ever new words.

A sketch holds the signs of a sentence embedding, so that the share of bits in which two differ is near their angle over
π (random hyperplanes, Charikar 2002). Refused prompts near one another form a topic. People try a refused prompt again
a few times; the tries beyond that are summed over all topics, so that changing the topic does not start anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from services.core.anomalies.alarm import Alarm
from services.core.policy.anomaly_rules import ProbingRule

MOST_TOPICS = 16
FORGOTTEN = 0.1  # tries


@dataclass(frozen=True, slots=True)
class Topic:
    """Refused prompts near to `sketch`, that of the last one (hex); `tries` counted at `at`, seconds."""

    sketch: str
    tries: float
    at: float


Topics = tuple[Topic, ...]


def step(topics: Topics, sketch: bytes, at: float, rule: ProbingRule) -> tuple[Topics, bool, Alarm | None]:
    """One refused prompt; also says whether it was near to an earlier one. An empty sketch is near to nothing.

    The same sketch again is a program that sends again, not a try.
    """
    faded = [_faded(topic, at, rule) for topic in topics]
    faded = [topic for topic in faded if topic.tries > FORGOTTEN]
    near = nearest(faded, sketch, rule.near_bits)
    if near is None:
        if not sketch:
            return tuple(faded), False, None
        return tuple([*faded, Topic(sketch.hex(), 1.0, at)][-MOST_TOPICS:]), False, None
    found = faded.pop(near)
    more = 0.0 if found.sketch == sketch.hex() else 1.0
    after = (*faded, Topic(sketch.hex(), found.tries + more, at))
    persistence = sum(max(0.0, topic.tries - rule.patience) for topic in after)
    if persistence < rule.tries:
        return after, True, None
    tried = [topic for topic in after if topic.tries > rule.patience]
    return (
        after,
        True,
        Alarm(
            "probing",
            f"Refused prompts were tried again in other words {sum(t.tries for t in tried):.0f} times on"
            f" {len(tried)} topic{'s' if len(tried) > 1 else ''}, {persistence:.1f} times more than people do"
            f" who do not understand why; the bound is {rule.tries}.",
            {
                "topics": len(tried),
                "tries": round(sum(t.tries for t in tried), 1),
                "beyond_patience": round(persistence, 1),
                "bound": rule.tries,
            },
        ),
    )


def nearest(topics: Sequence[Topic], sketch: bytes, near_bits: int) -> int | None:
    """The place of the topic nearest to `sketch`, None where none is within `near_bits`."""
    same_kind = [place for place, topic in enumerate(topics) if sketch and len(topic.sketch) == 2 * len(sketch)]
    if not same_kind:
        return None
    number = int.from_bytes(sketch, "big")
    bits = {place: (int(topics[place].sketch, 16) ^ number).bit_count() for place in same_kind}
    best = min(same_kind, key=lambda place: bits[place])
    return best if bits[best] <= near_bits else None


def _faded(topic: Topic, at: float, rule: ProbingRule) -> Topic:
    passed = max(0.0, at - topic.at)
    return Topic(topic.sketch, topic.tries * 0.5 ** (passed / (rule.half_life_hours * 3600)), at)
