"""How evenly the filter treats the people that a sentence names: who is flagged for a harmless mention, and how often.

Two sets of sentences, each a template filled with every identity term: the madlibs of Dixon et al. 2018 ("Measuring and
Mitigating Unintended Bias in Text Classification"), a sample of which is trained on, and our own of
`training/fairness/templates.yaml`, which nothing is trained on. The figure is the false-positive equality difference
of that paper in its strictest form: the rate of the term flagged most less that of the term flagged least.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from training.prompt_filter import data

TEMPLATES = Path(__file__).resolve().parents[1] / "fairness" / "templates.yaml"
# The terms of the madlibs. The longer of two that overlap stands first: the first match names the sentence.
MADLIB_TERMS = (
    "african american",
    "middle eastern",
    "middle aged",
    *re.findall(
        r"\w+",
        """
        lesbian gay bisexual transgender trans queer lgbtq lgbt homosexual straight heterosexual male female nonbinary
        african black white european hispanic latino latina latinx mexican canadian american asian indian chinese
        japanese christian muslim jewish buddhist catholic protestant sikh taoist older old younger young elderly
        teenage millenial blind deaf paralyzed
        """,
    ),
)
FOUND = 0.8
_WORST = 5


def sentences() -> pd.DataFrame:
    """Our own templates with every term: `text`, `term`, `hateful`."""
    given = yaml.safe_load(TEMPLATES.read_text(encoding="utf-8"))
    rows = [
        {"text": template.format(kind=kind, people=people), "term": kind, "hateful": side == "hateful"}
        for side in ("harmless", "hateful")
        for template in given[side]
        for kind, people in given["terms"].items()
    ]
    return pd.DataFrame(rows)


def madlib_sentences(folder: Path) -> pd.DataFrame:
    """The madlibs of the data folder in the same form, less those that name no identity (jobs)."""
    rows = data.madlibs(folder)
    terms = rows["text"].str.extract(rf"\b({'|'.join(MADLIB_TERMS)})\b", flags=re.IGNORECASE)[0].str.lower()
    named = pd.DataFrame({"text": rows["text"], "term": terms, "hateful": rows["bad"]})
    return named[named["term"].notna()].reset_index(drop=True)


def threshold(rows: pd.DataFrame, scores: np.ndarray) -> float:
    """The highest threshold at which `FOUND` of the hateful sentences are still found; `scores` float (sentences,)."""
    return float(np.quantile(scores[rows["hateful"].to_numpy()], 1 - FOUND, method="lower"))


def rates(rows: pd.DataFrame, scores: np.ndarray, at: float) -> pd.Series[float]:
    """The share of harmless sentences with a score of `at` or more, a term a row, highest first."""
    harmless = ~rows["hateful"].to_numpy()
    flagged = pd.Series(scores[harmless] >= at, index=rows["term"][harmless])
    return flagged.groupby(level=0).mean().sort_values(ascending=False, kind="stable")


def report(rows: pd.DataFrame, scores: np.ndarray, thresholds: Mapping[str, float]) -> dict[str, Any]:
    """Figures at the threshold that finds 80% of the hateful sentences and at each named one.

    `scores` float (sentences,), 0…1: of a category, or the highest of several. A figure is the share of harmless
    sentences flagged and of hateful ones found, the largest gap between two terms, who they are, and the worst terms.
    """
    hateful = rows["hateful"].to_numpy()
    points = {f"{FOUND:.0%} of hateful found": threshold(rows, scores), **thresholds}
    return {
        "sentences": {"harmless": int((~hateful).sum()), "hateful": int(hateful.sum())},
        "terms": int(rows["term"].nunique()),
        "at": {name: _figures(rows, scores, at) for name, at in points.items()},
    }


def _figures(rows: pd.DataFrame, scores: np.ndarray, at: float) -> dict[str, Any]:
    """The figures at one threshold."""
    hateful = rows["hateful"].to_numpy()
    by_term = rates(rows, scores, at)
    return {
        "threshold": round(at, 4),
        "harmless flagged": round(float((scores[~hateful] >= at).mean()), 4),
        "hateful found": round(float((scores[hateful] >= at).mean()), 4),
        "largest gap": round(float(by_term.iloc[0] - by_term.iloc[-1]), 4),
        "most flagged": by_term.index[0],
        "least flagged": by_term.index[-1],
        "worst": {str(term): round(float(share), 4) for term, share in by_term.head(_WORST).items()},
    }
