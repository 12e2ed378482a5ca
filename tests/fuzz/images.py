"""Any bytes as a picture.

The worker's own code in this process: a file is refused by any error, or every view of it is RGB of the size that was
told, and a PNG of ours gives it back. A crash, a hang, a pile of memory or another outcome is a finding.
"""

from __future__ import annotations

import time

import numpy as np

from services.core.imaging import decode_rgb
from services.core.imaging_formats import Limits, Malformed, recognise
from services.core.imaging_png import write_png
from services.core.imaging_worker import decode
from tests.unit.core.hostile_pictures import honest

WATCHED = ("services.core.imaging", "PIL")
_LIMITS = Limits(max_pixels=1 << 20, kept_side=64)
_SECONDS = 2.0


def taken(data: bytes) -> bool:
    """One file."""
    begin = time.process_time()
    try:
        kind = recognise(data)
    except Malformed:
        return False
    try:
        seen, original = decode(data, kind, _LIMITS)
    except Exception:  # each is a refusal, as in the worker
        return False
    finally:
        assert time.process_time() - begin < _SECONDS
    assert 1 <= len(seen) <= 3
    assert {view.mode for view in seen} == {"RGB"}
    assert {view.size for view in seen} == {seen[0].size}
    assert min(seen[0].size) >= _LIMITS.min_side
    assert max(seen[0].size) <= _LIMITS.kept_side
    assert original[0] * original[1] <= _LIMITS.max_pixels
    assert (original[0] > original[1]) <= (seen[0].size[0] >= seen[0].size[1])
    pixels = np.asarray(seen[0])
    assert (decode_rgb(write_png(pixels)) == pixels).all()
    return True


def seeds() -> dict[str, bytes]:
    """One good file of each kind."""
    return honest()
