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
from training.prompt_filter import texts

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
# What the network has a head for: beside the categories, whether a text violates anything at all.
ANY = "any"
HEADS = (*CATEGORIES, ANY)
# Never trained on: they stand for what the world sends that we have not seen.
UNSEEN = ("nibrw", "catqa", "surge")
UNSEEN_GRAMMARS = ("coded_nudity", "medical_scenes", "stereotypes", "threats", "war_and_history")
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
# How far a source's labels are believed: search words, sarcasm and one quick opinion weigh less than a careful label.
_TRUST = {"i2p": 0.3, "covid": 0.4, "davidson": 0.5, "edos": 0.6, "vicomtech": 0.7, "hatemoji": 0.8}
# A text of a violation that was labelled for one category is no case of the others that are not near it: each pair
# of neighbours stands here once.
_NEAR = (
    "sexual harassment|sexual shocking|hate harassment|hate hate.symbols|hate violence|hate.symbols harassment|"
    "hate.symbols violence|hate.symbols political|harassment violence|harassment shocking|violence violence.graphic|"
    "violence self_harm|violence illegal|violence shocking|violence.graphic self_harm|violence.graphic shocking|"
    "self_harm shocking|illegal deception|illegal spam|deception political|deception health|deception spam"
)
_SINGLE = ("copro", "ailuminate", "catqa", "advbench")
_SOFT = 0.15
_PER_SIDE = 450
_MADLIBS = 4_000
_LONG = 2_000
# A violation in a longer text has to be within what training reads of it.
_LONG_LETTERS = 420
_GENERAL = ("davidson", "vicomtech", "covid")


def gather(folder: Path, seed: int, own: bool = True) -> pd.DataFrame:
    """All rows of `folder` (see its README): `text`, `src`, `group`, a column a head; with `own`, those of the house.

    The public rows come first and are the same with and without the others.
    """
    public = pd.concat([_public(folder), _madlibs(folder, seed)])
    parts = [public, _long(public, random.Random(f"long-{seed}"))]
    if own:
        parts += [_contrast(random.Random(f"contrast-{seed}")), texts.read(CATEGORIES)]
    rows = pd.concat(parts)
    rows["text"] = [plain(text).text for text in rows["text"]]
    table = rows[list(CATEGORIES)]
    known = [(table == 1).any(axis=1), (table == 0).all(axis=1)]
    rows[ANY] = np.select(known, [1, 0], rows[ANY].fillna(-1)).astype(int)
    return rows[rows["text"].str.len() > 0].drop_duplicates("text").reset_index(drop=True)


def split(rows: pd.DataFrame) -> pd.Series[str]:
    """`train`, `calibrate` or `test` by group, `unseen` for sources and grammars held out whole; stable across runs."""
    share = rows["group"].map(lambda group: zlib.crc32(str(group).encode()) % 100)
    parts = np.select([share < 6, share < 12], ["calibrate", "test"], "train")
    grammar = rows["group"].str.split("-").str[0].isin(UNSEEN_GRAMMARS) & rows["src"].eq("contrast")
    return pd.Series(np.where(rows["src"].isin(UNSEEN) | grammar, "unseen", parts), index=rows.index)


def labels(rows: pd.DataFrame) -> np.ndarray:
    """int8 (rows, heads): 1, 0 or −1."""
    return rows[list(HEADS)].to_numpy(np.int8)


def weights(rows: pd.DataFrame) -> np.ndarray:
    """float32 (rows, heads): how much each label counts; above 0 where it is unknown if it can only be a 0."""
    truth = labels(rows)
    trust = rows["src"].map(_TRUST).fillna(1.0).to_numpy(np.float32)[:, None]
    near = np.eye(len(HEADS), dtype=bool)
    for pair in _NEAR.split("|"):
        one, other = (HEADS.index(name) for name in pair.split())
        near[one, other] = near[other, one] = True
    near[:, HEADS.index(ANY)] = True
    single = rows["src"].isin(_SINGLE).to_numpy()[:, None]
    violates = truth[:, : len(CATEGORIES)] == 1
    apart = single & violates.any(axis=1, keepdims=True) & ~(violates @ near[: len(CATEGORIES)])
    return np.where(truth >= 0, trust, np.where(apart, _SOFT, 0.0)).astype(np.float32)


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
    # These sources were read for hate alone, but little else is in what they call none.
    rows.loc[rows["src"].isin(["vicomtech", "edos", "hatemoji"]) & (rows["hate"] == 0), ANY] = 0
    return rows[["text", "src", "group", *HEADS]]


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
    """Harmless texts strung together, half of them with one violation among them, which keeps its group.

    Captions with captions, and what people post with what people post. Without them every long text would look like
    one from a hate corpus, and a violation in one would drown.
    """
    rows = rows[rows["text"].str.len() < _LONG_LETTERS / 2]
    violates = (rows[list(CATEGORIES)] == 1).any(axis=1)
    harmless, bad = rows[~violates & (rows[ANY] != 1)], rows[violates]
    kinds = (
        (harmless["src"].isin(["coco", "t2icomp", "diffdb"]), bad["src"].isin(["copro", "nib"])),
        (
            harmless["src"].isin(_GENERAL) & (harmless[ANY] == 0),
            ~bad["src"].isin(["covid", "i2p", "madlibs", "jigsawbias"]),
        ),
    )
    long = []
    for good, wrong in kinds:
        beside = harmless[good]["text"].tolist()
        for row in bad[wrong].sample(_LONG, random_state=random_.randrange(2**31)).to_dict("records"):
            texts = _draw(beside, _LONG_LETTERS - len(row["text"]), random_)
            texts.insert(random_.randint(0, len(texts)), row["text"])
            long.append(row | {"text": _join(texts, random_), "src": "long"})
            clean = _join(_draw(beside, _LONG_LETTERS, random_), random_)
            long.append({"text": clean, "src": "long", "group": clean} | dict.fromkeys(HEADS, 0))
    return pd.DataFrame(long)


def _draw(texts: list[str], letters: int, random_: random.Random) -> list[str]:
    """One to six of the texts, of at most so many letters together (the first always)."""
    drawn = [random_.choice(texts)]
    for text in random_.sample(texts, random_.randint(0, 5)):
        if sum(map(len, drawn)) + len(text) < letters:
            drawn.append(text)
    return drawn


def _join(texts: list[str], random_: random.Random) -> str:
    """The texts as one, as sentences or as a list."""
    return random_.choice([". ", ". ", ", "]).join(text.rstrip(". ") for text in texts)
