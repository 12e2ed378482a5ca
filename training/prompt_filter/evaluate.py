"""Scores labelled prompts with the pipeline that the service runs: `python -m training.prompt_filter.evaluate FILE`.

FILE is JSONL, a line a prompt: `text`, and `labels`, an object of category → 0 or 1 (others are unknown); `any` may
stand among them. Prints a table a category: texts, violations, average precision, recall and false alarms at the review
threshold, calibration error, and the worst errors.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table
from sklearn.metrics import average_precision_score

from services.core.errors import InvalidInput
from services.prompt_filter.pipeline import PromptPipeline
from services.prompt_filter.settings import PromptFilterSettings
from training.prompt_filter.metrics import REVIEW, calibration_error

WORST = 5


def main() -> None:
    """Reads, scores, prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    lines = parser.parse_args().file.read_text(encoding="utf-8").splitlines()
    found = score(json.loads(line) for line in track(lines, "scoring"))
    table = Table("category", "texts", "violations", "avg. precision", "recall", "false alarms", "ECE")
    console = Console()
    for category, rows in sorted(found.items()):
        table.add_row(category, *figures([truth for _, truth, _ in rows], [value for value, _, _ in rows]))
    console.print(table)
    for category, rows in sorted(found.items()):
        for value, truth, text in sorted(rows, key=lambda row: -abs(row[0] - row[1]))[:WORST]:
            if abs(value - truth) > REVIEW:
                console.print(f"{category}: {value:.2f}, labelled {truth}: {text}", markup=False)


def score(prompts: Iterable[dict[str, object]]) -> dict[str, list[tuple[float, int, str]]]:
    """Per category the score, the label and the text of every prompt with that label; refused texts count as 1."""
    pipeline = PromptPipeline.load(PromptFilterSettings())
    found: dict[str, list[tuple[float, int, str]]] = defaultdict(list)
    for prompt in prompts:
        text, labels = str(prompt["text"]), prompt["labels"]
        if not isinstance(labels, dict):
            raise SystemExit('every line needs "labels", an object of category → 0 or 1')
        try:
            scores = pipeline.measure(text).scores()
        except InvalidInput:
            scores = dict.fromkeys(labels, 1.0)
        scores["any"] = max(scores.values())
        for category, truth in labels.items():
            found[category].append((scores.get(category, 0.0), int(truth), text))
    return found


def figures(labels: list[int], scores: list[float]) -> list[str]:
    """The cells of one row of the table."""
    truth, values = np.array(labels) == 1, np.array(scores)
    counts = [str(len(truth)), str(truth.sum())]
    if not truth.any() or truth.all():
        rates = ["", f"{np.mean(values[truth] >= REVIEW):.3f}" if truth.any() else ""]
        return [*counts, *rates, f"{np.mean(values[~truth] >= REVIEW):.3f}" if not truth.any() else "", ""]
    precision = average_precision_score(truth, values)
    recall, alarms = np.mean(values[truth] >= REVIEW), np.mean(values[~truth] >= REVIEW)
    return [*counts, *(f"{value:.3f}" for value in (precision, recall, alarms, calibration_error(values, truth)))]


if __name__ == "__main__":
    main()
