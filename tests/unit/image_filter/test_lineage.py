"""What the generations behind an upload come to under the shipped policies."""

from __future__ import annotations

from pathlib import Path

import pytest

from portcullis.v1 import checks_pb2 as pb
from services.core.policy.categories import CATEGORIES
from services.core.policy.document import load_policy
from services.core.policy.evaluate import evaluate
from services.core.signals import Lineage, Measurement, with_zeros
from services.core.verdicts import Judgement, Verdict
from services.image_filter.lineage import with_lineage

POLICY = Path(__file__).parents[3] / "policies/default.yaml"


def judged(depth: int) -> Judgement:
    harmless = Measurement(with_zeros((), set(CATEGORIES) - {"lineage"}, "test/1"), (), {})
    measured = with_lineage(harmless, pb.Lineage(depth=depth, ancestors=["b", "a"]))
    return evaluate(load_policy(POLICY.read_text(), POLICY.name), "upload", "new", measured)


@pytest.mark.parametrize(
    ("depth", "verdict"),
    [
        (0, Verdict.ALLOW),
        (1, Verdict.ALLOW),
        (3, Verdict.ALLOW),
        (4, Verdict.REVIEW),
        (8, Verdict.BLOCK),
        (90, Verdict.BLOCK),
    ],
)
def test_deep_lineage_is_held_then_refused(depth: int, verdict: Verdict) -> None:
    assert judged(depth).verdict is verdict


def test_a_held_upload_shows_its_ancestors() -> None:
    (reason,) = judged(5).reasons

    assert reason.evidence == (Lineage(5, ("b", "a")),)
