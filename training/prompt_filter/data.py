"""Gathers the training rows: the public texts, the contrast grammars, identity templates, long harmless texts.

A label is 1 (yes), 0 (no) or −1 (unknown: masked in training, left out of every figure). Rows that belong together (a
pair of twins, a template) carry the same `group`, and a group is never split between training and measuring.
"""

from __future__ import annotations

import itertools
import random
import re
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from services.prompt_filter.normalize import plain

CATEGORIES = (
    "hate",
    "hate.symbols",
    "harassment",
    "violence",
    "violence.graphic",
    "self_harm",
    "sexual",
    "shocking",
    "illegal",
    "deception",
    "political",
    "health",
    "spam",
)
# Never trained on: they stand for what the world sends that we have not seen.
UNSEEN = ("nibrw", "catqa", "surge")
CONTRAST = Path(__file__).resolve().parents[1] / "contrast"
# Our finer categories have no column in the public data; plain words in rows of the parent say so.
_FINER = {
    "violence.graphic": (
        r"\b(?:blood|bloody|gore|gory|guts|corpse|sever|decapitat|behead|mutilat|dismember|entrails|wound)"
    ),
    "hate.symbols": r"\b(?:swastika|nazi flag|klan|kkk|confederate flag|white power)",
    "deception": (
        r"\b(?:fake news|hoax|conspirac|forg(?:e|ed|ing)\b|counterfeit|fabricat|deepfake|disinformation|misinformation)"
    ),
    "spam": r"\b(?:spam|mass e-?mail|bulk e-?mail)",
    "political": r"\b(?:election|voter|voting|ballot|campaign|politician|candidate)",
}
_PARENTS = {
    "violence.graphic": ("violence", "hate", "shocking"),
    "hate.symbols": ("hate",),
    "deception": ("illegal", "political"),
    "spam": ("illegal",),
    "political": ("political",),
}
_DOUBTFUL = re.compile(
    r"\b(?:nude|naked|nsfw|sexy|lingerie|topless|gore|gory|blood|bloody|dismember|corpse|kill|trump|biden|putin|hitler|nazi)",
    re.IGNORECASE,
)
# In our own grammars a text of another category has nothing to do with these.
_APART = ("hate", "hate.symbols", "sexual", "deception", "political", "health", "spam")
_PER_SIDE = 450
_MADLIBS = 4_000
_LONG = 1_500


def gather(folder: Path, seed: int) -> pd.DataFrame:
    """All rows of `folder` (see its README) and of the grammars: `text`, `src`, `group`, a column a category."""
    random_ = random.Random(seed)
    public = _public(folder)
    short = pd.concat([public, _contrast(random_), _madlibs(folder, seed)])
    rows = pd.concat([short, _long(short, random_)])
    rows["text"] = [plain(text).text for text in rows["text"]]
    return rows[rows["text"].str.len() > 0].drop_duplicates("text").reset_index(drop=True)


def split(rows: pd.DataFrame) -> pd.Series[str]:
    """`train`, `calibrate` or `test` by group, `unseen` for the sources held out whole; stable across runs."""
    share = rows["group"].map(lambda group: zlib.crc32(str(group).encode()) % 100)
    parts = np.select([share < 6, share < 12], ["calibrate", "test"], "train")
    return pd.Series(np.where(rows["src"].isin(UNSEEN), "unseen", parts), index=rows.index)


def labels(rows: pd.DataFrame) -> np.ndarray:
    """int8 (rows, categories): 1, 0 or −1."""
    return rows[list(CATEGORIES)].to_numpy(np.int8)


def _public(folder: Path) -> pd.DataFrame:
    """`train.parquet` in our categories."""
    rows = pd.read_parquet(folder / "train.parquet")
    rows["any"] = rows["any"].astype("int8")
    safe_twin = (rows["src"] == "copro") & (rows["any"] == 0)
    harmless = rows["src"].isin(["coco", "t2icomp"])
    for category, pattern in _FINER.items():
        said = rows["text"].str.contains(pattern, case=False, regex=True)
        parents = (rows[list(_PARENTS[category])] == 1).any(axis=1)
        column = rows[category].copy() if category in rows else pd.Series(-1, index=rows.index)
        column[harmless | (safe_twin & ~said) | (rows["src"].eq("diffdb") & ~said)] = 0
        column[parents & said] = 1
        rows[category] = column
    rows.loc[(rows["sexual_minors"] == 1), "sexual"] = 1
    rows = rows[~(rows["src"].eq("diffdb") & rows["text"].str.contains(_DOUBTFUL))]
    # In this source an unsafe text is followed by its safe twin.
    starts = (rows["src"] != "copro") | (rows["any"] == 1) | (rows["any"].shift() == 0)
    rows["group"] = "public-" + starts.cumsum().astype(str)
    return rows[["text", "src", "group", *CATEGORIES]]


def _contrast(random_: random.Random) -> pd.DataFrame:
    """The grammars of `training/contrast`: a pair of twins, or a template without a twin, is a group."""
    rows = []
    for path in sorted(CONTRAST.glob("*.yaml")):
        grammar = yaml.safe_load(path.read_text(encoding="utf-8"))
        given = {
            "unsafe": dict.fromkeys(CATEGORIES, -1) | dict.fromkeys(_APART, 0),
            "safe": dict.fromkeys(CATEGORIES, 0),
        }
        for side in given:
            part = grammar.get(side, {})
            given[side] |= dict.fromkeys(part.get("open", []), -1) | dict.fromkeys(part.get("labels", []), 1)
            templates = part.get("templates", [])
            for template in templates:
                group = {"src": "contrast", "group": f"{path.stem}-{template}"} | given[side]
                texts = expand(template, grammar["slots"], _PER_SIDE // len(templates) + 1, random_)
                rows += [{"text": text} | group for text in texts]
        pairs = grammar.get("pairs", [])
        for unsafe, safe in pairs:
            group = {"src": "contrast", "group": f"{path.stem}-{unsafe}"}
            for twins in expand_pair(unsafe, safe, grammar["slots"], _PER_SIDE // len(pairs) + 1, random_):
                rows += [{"text": text} | group | given[side] for side, text in zip(given, twins, strict=True)]
    return pd.DataFrame(rows)


def expand_pair(
    unsafe: str, safe: str, slots: dict[str, list[str]], limit: int, random_: random.Random
) -> list[tuple[str, str]]:
    """Up to `limit` distinct (unsafe, safe) twins; a slot that both use is filled with the same words."""
    texts = expand(f"{unsafe}\n{safe}", slots, limit, random_)
    return [(bad, good) for bad, good in (text.split("\n") for text in texts)]


def expand(template: str, slots: dict[str, list[str]], limit: int, random_: random.Random) -> list[str]:
    """Up to `limit` distinct texts of a template, drawn without order."""
    names = list(dict.fromkeys(re.findall(r"{(\w+)}", template)))
    choices = [slots[name] for name in names]
    total = int(np.prod([len(choice) for choice in choices])) if choices else 1
    if total <= limit:
        picks = list(itertools.product(*choices))
    else:
        picks = [tuple(random_.choice(choice) for choice in choices) for _ in range(limit)]
    texts = [template.format(**dict(zip(names, map(str, pick), strict=True))) for pick in picks]
    return list(dict.fromkeys(texts))


def madlibs(folder: Path) -> pd.DataFrame:
    """Every identity template sentence: `text`, `group` (its template), `bad`."""
    rows = pd.read_csv(folder / "fairness" / "bias_madlibs_77k.csv.gz")
    return pd.DataFrame({"text": rows["Text"], "group": "madlibs-" + rows["Template"], "bad": rows["Label"] == "BAD"})


def _madlibs(folder: Path, seed: int) -> pd.DataFrame:
    """A sample for training; hateful ones count as harassment (whom they demean differs)."""
    rows = madlibs(folder).sample(_MADLIBS, random_state=seed)
    table = {category: np.where(rows["bad"], -1, 0) for category in CATEGORIES}
    table["harassment"] = rows["bad"].astype(int).to_numpy()
    return pd.DataFrame({"text": rows["text"].to_numpy(), "src": "madlibs", "group": rows["text"].to_numpy()} | table)


def _long(rows: pd.DataFrame, random_: random.Random) -> pd.DataFrame:
    """Harmless captions strung together, half of them with one violation among them, which keeps its group.

    Without them every long text would look like one from a hate corpus, and a violation in one would drown.
    """
    harmless = rows[rows["src"].isin(["coco", "t2icomp", "diffdb"])]["text"].tolist()
    seed = random_.randrange(2**31)
    bad = rows[rows["src"].isin(["copro", "nib", "contrast"]) & (rows[list(CATEGORIES)] == 1).any(axis=1)]
    long = []
    for row in bad.sample(_LONG, random_state=seed).to_dict("records"):
        texts = random_.sample(harmless, random_.randint(2, 4))
        texts.insert(random_.randint(0, len(texts)), row["text"])
        long.append(row | {"text": _join(texts, random_), "src": "long"})
        clean = _join(random_.sample(harmless, random_.randint(3, 7)), random_)
        long.append({"text": clean, "src": "long", "group": clean} | dict.fromkeys(CATEGORIES, 0))
    return pd.DataFrame(long)


def _join(texts: list[str], random_: random.Random) -> str:
    """The texts as one, as sentences or as a list."""
    return random_.choice([". ", ", "]).join(text.rstrip(". ") for text in texts)
