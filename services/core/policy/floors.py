"""Hard floors: what no policy can change, whatever it says."""

from __future__ import annotations

# Every check stays on: a score above this fires at least the review threshold of any policy.
MAX_THRESHOLD = 0.99

# category -> the highest score at which it must already be refused. Whatever fires in these blocks, reviews included.
ALWAYS_BLOCK: dict[str, float] = {"sexual.minors": 0.3}
