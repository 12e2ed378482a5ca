"""Draws precision and recall, reliability and verdicts; one colour carries no meaning that a label does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.metrics import average_precision_score, precision_recall_curve

from training.report.figures import FEWEST, VERDICTS, calibration, calibration_error

mpl.use("Agg")
# Of the palette of Okabe and Ito 2008, told apart by the colour-blind.
_BLUE, _ORANGE, _GREY = "#0072B2", "#D55E00", "#767676"
_COLUMNS, _SIDE, _DPI = 4, 2.5, 130


def draw(rows: pd.DataFrame, scores: pd.DataFrame, verdicts: dict[str, dict[str, int]], folder: Path) -> list[str]:
    """Writes the plots into `folder` and returns their file names; categories with too few texts are left out.

    `rows` has a column a category with 1, 0 or -1, `scores` one with 0…1; `verdicts` counts by category.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pairs = {}
    for name in scores:
        known = rows[name] >= 0
        truth = (rows[name][known] == 1).to_numpy()
        if min(truth.sum(), (~truth).sum()) >= FEWEST:
            pairs[str(name)] = (scores[name][known].to_numpy(), truth)
    drawn = {}
    if pairs:
        drawn["precision_recall.png"] = _grid(pairs, _precision_recall, "recall", "precision")
        drawn["reliability.png"] = _grid(pairs, _reliability, "mean score", "share of violations")
    if verdicts:
        drawn["verdicts.png"] = _verdicts(verdicts)
    for name, figure in drawn.items():
        figure.savefig(folder / name, dpi=_DPI)
    return list(drawn)


def _grid(pairs: dict[str, tuple[np.ndarray, np.ndarray]], panel: Any, x: str, y: str) -> Figure:
    """A panel a category, all with the same axes from 0 to 1."""
    columns = min(_COLUMNS, len(pairs))
    lines = -(-len(pairs) // columns)
    figure = Figure(figsize=(columns * _SIDE + 0.4, lines * (_SIDE + 0.35) + 0.3), layout="constrained")
    axes: list[Axes] = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False).ravel().tolist()
    for axis, (name, (scores, truth)) in zip(axes, pairs.items(), strict=False):
        panel(axis, name, scores, truth)
        axis.set(xlim=(0, 1), ylim=(0, 1.02), xticks=(0, 0.5, 1), yticks=(0, 0.5, 1))
        axis.grid(color="#dddddd", linewidth=0.6)
        axis.set_axisbelow(True)
    for place, axis in enumerate(axes):
        axis.set_visible(place < len(pairs))
        axis.tick_params(labelbottom=place + columns >= len(pairs))
    figure.supxlabel(x)
    figure.supylabel(y)
    return figure


def _precision_recall(axis: Axes, name: str, scores: np.ndarray, truth: np.ndarray) -> None:
    """The curve, and dashed what guessing is worth."""
    precision, recall, _ = precision_recall_curve(truth, scores)
    axis.plot(recall, precision, color=_BLUE, linewidth=1.8)
    axis.axhline(truth.mean(), color=_GREY, linestyle="--", linewidth=1)
    average = average_precision_score(truth, scores)
    axis.set_title(f"{name}\naverage precision {average:.2f}, {truth.sum():,} of {len(truth):,}", fontsize=8)


def _reliability(axis: Axes, name: str, scores: np.ndarray, truth: np.ndarray) -> None:
    """Mean score and share of violations a bin, larger where more texts are; dashed what a calibrated score has."""
    mean, share, count = np.array(calibration(scores, truth)).T
    axis.plot([0, 1], [0, 1], color=_GREY, linestyle="--", linewidth=1)
    axis.plot(mean, share, color=_ORANGE, linewidth=1.4)
    axis.scatter(mean, share, s=8 + 90 * np.sqrt(count / count.sum()), color=_ORANGE, clip_on=False, zorder=3)
    axis.set_title(f"{name}\nECE {calibration_error(scores, truth):.3f}, {len(truth):,} texts", fontsize=8)


def _verdicts(counts: dict[str, dict[str, int]]) -> Figure:
    """Share of each verdict a category, with the numbers."""
    table = np.array([[row[verdict] for verdict in VERDICTS] for row in counts.values()], float)
    shares = table / table.sum(axis=1, keepdims=True)
    figure = Figure(figsize=(6.2, 0.34 * len(counts) + 1.2), layout="constrained")
    axis = figure.subplots()
    axis.imshow(shares, cmap="cividis", vmin=0, vmax=1, aspect="auto")
    axis.set_xticks(range(len(VERDICTS)), VERDICTS)
    axis.set_yticks(range(len(counts)), list(counts))
    axis.set(xlabel="verdict of the policy", ylabel="label of the text")
    for (line, column), share in np.ndenumerate(shares):
        text = f"{share:.0%}  ({table[line, column]:,.0f})"
        axis.text(column, line, text, ha="center", va="center", fontsize=8, color="black" if share > 0.5 else "white")
    return figure
