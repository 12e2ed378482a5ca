"""The rows of a scan: one JSON object per item, a verdict with its reasons or the error that kept it from one."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from services.core.policy.concepts import is_concept
from services.core.policy.document import Policy
from services.core.signals import Evidence, Measurement
from services.core.verdicts import Judgement, Verdict

Row = dict[str, Any]
Judged = tuple[Measurement, Judgement]


class Item(BaseModel):
    """One line of input; fields that the scan does not know are passed over."""

    model_config = ConfigDict(extra="ignore", strict=True)

    id: str | int


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a JSONL file: its number from 1, and its bytes."""

    number: int
    data: bytes

    def identity(self) -> str | int | None:
        """The item's id, for an error's row; None where the line is not good enough to have one."""
        try:
            item: Item = self.parse(Item)
        except BadLine:
            return None
        return item.id

    def parse(self, kind: type[BaseModel]) -> Any:
        """The line as `kind`; raises BadLine that says what is wrong."""
        try:
            return kind.model_validate(json.loads(self.data))
        except UnicodeDecodeError as error:
            raise BadLine(f"not UTF-8 (byte {error.start} of the line)") from None
        except ValidationError as error:
            problems = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'line'}: {e['msg']}" for e in error.errors())
            raise BadLine(problems) from None
        except (ValueError, RecursionError) as error:
            raise BadLine(f"not JSON: {error}") from None


class BadLine(Exception):
    """A line that is no item."""


def lines(path: Path) -> Iterator[Line]:
    """The lines of a file that are not blank, read one at a time."""
    with path.open("rb") as file:
        for number, data in enumerate(file, start=1):
            if data.strip():
                yield Line(number, data)


def files(folder: Path) -> Iterator[Path]:
    """Every file under a folder, in the order of their names."""
    for path in sorted(folder.iterdir()):
        if path.is_dir() and not path.is_symlink():
            yield from files(path)
        elif path.is_file():
            yield path


def verdict_row(identity: str | int, judged: Sequence[Judged], policy: Policy) -> Row:
    """The row of an item that was judged, by one filter or by several: the worst verdict, all reasons and scores."""
    scores: dict[str, float] = {}
    for measurement, _ in judged:
        for category, score in measurement.scores().items():
            if not is_concept(category):
                scores[category] = max(score, scores.get(category, 0.0))
    reasons = sorted((r for _, judgement in judged for r in judgement.reasons), key=lambda reason: -reason.verdict)
    models = {model.name: model.version for measurement, _ in judged for model in measurement.models}
    return {
        "id": identity,
        "verdict": max((judgement.verdict for _, judgement in judged), default=Verdict.BLOCK).name,
        "scores": {category: round(score, 6) for category, score in sorted(scores.items())},
        "reasons": [
            {"category": r.category, "message": r.message, "evidence": [_evidence(e) for e in r.evidence]}
            for r in reasons
        ],
        "versions": {"policy": policy.id, "models": models},
    }


def _evidence(evidence: Evidence) -> Row:
    return {"kind": type(evidence).__name__, **dataclasses.asdict(evidence)}
