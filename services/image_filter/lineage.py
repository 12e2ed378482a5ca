"""How many generations of our own outputs lie behind an upload: a signal that the policy's thresholds judge."""

from __future__ import annotations

from dataclasses import replace

from portcullis.v1 import checks_pb2 as pb
from services.core.signals import Lineage, Measurement, Signal

SOURCE = "lineage/1"
GENERATION = 0.1  # of the score: ten generations are 1


def with_lineage(measurement: Measurement, lineage: pb.Lineage) -> Measurement:
    """The measurement with `lineage`, 0 where the upload was not made here, and its ancestors as evidence."""
    history = Lineage(lineage.depth, tuple(lineage.ancestors)) if lineage.depth else None
    signal = Signal("lineage", min(1.0, GENERATION * lineage.depth), SOURCE, history)
    return replace(measurement, signals=(*measurement.signals, signal))
