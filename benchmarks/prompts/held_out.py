"""The texts to measure with: of the training data only what the split holds out, and what nothing is trained on."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from training.prompt_filter import data, fairness, texts

SEED = 7
CAPTIONS = ("coco", "t2icomp")
ORDINARY = (*CAPTIONS, "diffdb")
EXPLICIT = ("copro", "ailuminate", "advbench")
GENERAL = ("own-long", "long", "davidson", "vicomtech", "covid")
_MOST = 800
# A category with fewer explicit prompts in the public sources is measured on the grammars too.
_FEW = 20


@dataclass(frozen=True, slots=True)
class HeldOut:
    """`rows`: text, src, group, a column a head: 1, 0, -1. `benign`: ordinary prompts.

    `identity`: sentences of fairness by set: text, term, hateful.
    """

    rows: pd.DataFrame
    benign: list[str]
    identity: dict[str, pd.DataFrame]

    def sample(self, share: float) -> HeldOut:
        """So much of it, whole groups."""
        identity = {
            name: rows.sample(frac=share, random_state=SEED, ignore_index=True) for name, rows in self.identity.items()
        }
        benign = self.benign[: int(len(self.benign) * share)]
        return HeldOut(_some(self.rows, int(len(self.rows) * share)), benign, identity)

    def ordinary(self) -> pd.DataFrame:
        """Ordinary prompts and captions: those whose false alarms set the thresholds."""
        rows = self.rows
        own = rows["group"].str.startswith("ordinary") & rows["src"].eq("own-prompts")
        captions = rows[rows["src"].isin(ORDINARY) | own]
        return pd.concat([captions, pd.DataFrame({"text": self.benign, "src": "benign_dev"})], ignore_index=True)

    def explicit(self) -> pd.DataFrame:
        """Violations in plain words; grammars' where the public sources have few."""
        rows = self.rows[self.rows[data.ANY].eq(1)]
        public = rows["src"].isin(EXPLICIT)
        few = [name for name in data.CATEGORIES if (rows[public][name] == 1).sum() < _FEW]
        grammar = rows["src"].eq("contrast") & (rows[few] == 1).any(axis=1)
        return rows[public | grammar]

    def adversarial(self) -> pd.DataFrame:
        """What people wrote to get past filters: nib, and our own."""
        rows = self.rows
        own = rows["src"].eq("own-prompts") & rows["group"].str.startswith("adversarial")
        return rows[(rows["src"].eq("nib") | own) & rows[data.ANY].eq(1)]

    def twins(self) -> pd.DataFrame:
        """Unsafe and harmless sentences of one group of the grammars, or of our own prompts."""
        rows = self.rows[self.rows["src"].isin(["contrast", "own-prompts"])]
        labels = rows.groupby("group")[data.ANY]
        return _some(rows[labels.transform("min").eq(0) & labels.transform("max").eq(1)])

    def general(self) -> pd.DataFrame:
        """Posts, comments, questions and long texts, with what no label says for sure left unknown."""
        rows = _some(self.rows[self.rows["src"].isin(GENERAL)], 2 * _MOST).copy()
        for name in data.CATEGORIES:
            rows.loc[rows[data.ANY].eq(0), name] = 0
        return rows


def held_out(folder: Path) -> HeldOut:
    """Those of the data folder; where it is missing, our own texts alone."""
    identity = {"own templates": fairness.sentences().sample(1_500, random_state=SEED, ignore_index=True)}
    if (folder / "train.parquet").exists():
        rows = data.gather(folder, SEED)
        benign = pd.read_parquet(folder / "benign_dev.parquet")["text"].tolist()
        # The sentences were not trained on, but others of their templates were.
        madlibs = fairness.madlib_sentences(folder)
        madlibs = madlibs[~madlibs["text"].isin(set(rows["text"]))]
        identity["madlibs"] = madlibs.sample(1_000, random_state=SEED, ignore_index=True)
    else:
        rows, benign = texts.read(data.CATEGORIES), []
        known = rows[list(data.CATEGORIES)]
        rows[data.ANY] = np.select([(known == 1).any(axis=1), (known == 0).all(axis=1)], [1, 0], -1)
    # The sources that are called unseen were, until the last phase of training.
    return HeldOut(rows[data.split(rows) == "test"].reset_index(drop=True), benign, identity)


def _some(rows: pd.DataFrame, most: int = _MOST) -> pd.DataFrame:
    """At most so many rows, whole groups, drawn without order."""
    groups = sorted(set(rows["group"].map(str)))
    random.Random(SEED).shuffle(groups)
    sizes = rows["group"].map(str).value_counts()
    kept = set(np.array(groups)[np.cumsum([sizes[group] for group in groups]) <= most]) if groups else set()
    return rows[rows["group"].map(str).isin(kept)]
