"""What a filter finds of what it should, and flags of what it should not."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from sklearn.metrics import average_precision_score

from benchmarks.prompts.filters import Filter
from benchmarks.prompts.held_out import CAPTIONS, SEED, HeldOut
from benchmarks.report.table import Figure
from services.commands.redteam_spellings import SPELLINGS
from training.prompt_filter import data, fairness, language
from training.report.figures import FEWEST, calibration_error, threshold

FOUND = 0.5
_TWINS_FOUND = 0.8
_NAME_FOUND = 0.4  # the policy's review threshold of public_figure
_DISGUISED = 60
_FAMILIES = {
    "homoglyphs": "cyrillic|cyrillic, some|greek|armenian|cherokee|small capitals|mathematical|full-width",
    "leet": "leet, some|leet, vowels|leet, full|leet, signs",
    "spacing": "spaced|dotted|hyphenated|underscored|mixed separators",
    "zero-width": "zero-width",
    "mark-up": "mark-up",
    "casing": "alternating case",
}


def recalls(filter_: Filter, texts: HeldOut) -> list[Figure]:
    """Recall of explicit and adversarial violations where 1% or 5% of ordinary prompts are flagged."""
    ordinary = filter_.scores(texts.ordinary()["text"])
    figures = []
    rows = texts.explicit()
    scores = filter_.scores(rows["text"])
    for category in (*data.CATEGORIES, data.ANY):
        column = category if category in scores else data.ANY
        found = scores[column][(rows[category] == 1).to_numpy()]
        if len(found) >= FEWEST:
            recall = (found > threshold(ordinary[column].to_numpy(), 0.01)).mean()
            figures.append(Figure(f"explicit: {category}, recall at 1% FP", len(found), recall, 0.97))
    rows = texts.adversarial()
    scores = filter_.scores(rows["text"])[data.ANY].to_numpy()
    kinds = {"all": np.ones(len(rows), bool)} | {src: rows["src"].eq(src).to_numpy() for src in rows["src"].unique()}
    for kind, of_kind in kinds.items():
        for rate, goal in ((0.01, 0.65), (0.05, 0.92)):
            recall = (scores[of_kind] > threshold(ordinary[data.ANY].to_numpy(), rate)).mean()
            what = f"adversarial: {kind}, recall at {rate:.0%} FP"
            figures.append(Figure(what, int(of_kind.sum()), recall, goal if kind == "all" else None))
    for kind, srcs in {"benign_dev": ["benign_dev"], "captions": CAPTIONS, "diffdb": ["diffdb"]}.items():
        of_kind = texts.ordinary()["src"].isin(srcs).to_numpy()
        if of_kind.sum() < FEWEST:
            continue
        flagged = (ordinary[data.ANY][of_kind] >= FOUND).mean()
        figures.append(Figure(f"ordinary: {kind}, flagged at {FOUND}", int(of_kind.sum()), flagged, None))
    return figures


def contrasts(filter_: Filter, texts: HeldOut) -> list[Figure]:
    """Harmless twins and identity sentences flagged where four fifths of their violating twins are found."""
    figures = []
    rows = texts.twins()
    bad, good = (rows[data.ANY] == 1).to_numpy(), (rows[data.ANY] == 0).to_numpy()
    if min(bad.sum(), good.sum()) >= FEWEST:
        scores = filter_.scores(rows["text"])[data.ANY].to_numpy()
        at = np.quantile(scores[bad], 1 - _TWINS_FOUND, method="lower")
        flagged = (scores[good] >= at).mean()
        what = f"hard benign: templates held out, flagged at {_TWINS_FOUND:.0%} of twins"
        figures.append(Figure(what, int(good.sum()), flagged, 0.10, at_most=True))
    for name, rows in texts.identity.items():
        found = fairness.report(rows, filter_.scores(rows["text"])[data.ANY].to_numpy(), {})
        at = next(iter(found["at"].values()))
        number = found["sentences"]["harmless"]
        what = f"identity: {name}, flagged at {fairness.FOUND:.0%} of hateful"
        figures.append(Figure(what, number, at["harmless flagged"], 0.20, at_most=True))
        what = f"identity: {name}, largest gap ({at['most flagged']} over {at['least flagged']})"
        figures.append(Figure(what, number, at["largest gap"], None, key=f"identity: {name}, largest gap"))
    return figures


def general(filter_: Filter, texts: HeldOut) -> list[Figure]:
    """Area under the precision-recall curve on posts, comments and long texts."""
    rows = texts.general()
    if len(rows) < FEWEST:
        return []
    scores = filter_.scores(rows["text"])
    figures = []
    for category, goal in ((data.ANY, 0.85), ("sexual", 0.90), ("hate", 0.70), ("self_harm", 0.70)):
        known = (rows[category] >= 0).to_numpy()
        truth = rows[category][known] == 1
        if truth.sum() >= FEWEST:
            column = category if category in scores else data.ANY
            precision = average_precision_score(truth, scores[column][known])
            what = f"general text: {category}, AUPRC ({truth.mean():.0%} violate)"
            figures.append(Figure(what, len(truth), precision, goal, form="{:.2f}"))
    return figures


def disguises(filter_: Filter, texts: HeldOut) -> tuple[list[Figure], dict[str, float]]:
    """The share of violations found plain that is still found in every spelling; by family, and each."""
    rows = texts.rows[texts.rows[data.ANY].eq(1) & texts.rows["src"].isin(["copro", "own-prompts"])]
    short = rows["text"][(rows["text"].str.len() <= 200) & rows["text"].map(str.isascii)]
    short = short.sample(min(4 * _DISGUISED, len(short)), random_state=SEED)
    found = short[(filter_.scores(short)[data.ANY] >= FOUND).to_numpy()].head(_DISGUISED)
    kept = {}
    for name, spell in SPELLINGS.items():
        spelled = [spell(text, random.Random(at)) for at, text in enumerate(found)]
        kept[name] = float((filter_.scores(spelled)[data.ANY] >= FOUND).mean()) if spelled else 0.0
    families = {family: names.split("|") for family, names in _FAMILIES.items()}
    named = {name for names in families.values() for name in names}
    families["others"] = [name for name in SPELLINGS if name not in named]
    figures = []
    for family, names in families.items():
        worst = min(names, key=lambda name: kept[name])
        share = float(np.mean([kept[name] for name in names]))
        what = f"disguise: {family}, still found (least: {worst} {kept[worst]:.0%})"
        goal = None if family == "others" else 0.95
        figures.append(Figure(what, len(found), share, goal, key=f"disguise: {family}"))
    return figures, kept


def calibrated(filter_: Filter, texts: HeldOut) -> list[Figure]:
    """Calibration error of each category on the held-out texts of all sources that were trained on."""
    rows = texts.rows[~texts.rows["src"].eq("contrast")]
    scores = filter_.scores(rows["text"])
    figures = []
    for category in data.CATEGORIES:
        known = (rows[category] >= 0).to_numpy()
        truth = (rows[category][known] == 1).to_numpy()
        if truth.sum() >= FEWEST:
            error = calibration_error(scores[category][known].to_numpy(), truth)
            figures.append(Figure(f"calibration error: {category}", len(truth), error, 0.03, True, "{:.3f}"))
    return figures


def evasion(filter_: Filter, texts: HeldOut) -> list[Figure]:
    """Harmless prompts that the normaliser takes for disguised."""
    harmless = texts.rows[texts.rows["src"].isin(["contrast", "own-prompts", "copro"]) & texts.rows[data.ANY].eq(0)]
    harmless = harmless.sample(min(2_000, len(harmless)), random_state=SEED)
    prompts = [*texts.ordinary()["text"], *harmless["text"]]
    flagged = (filter_.scores(prompts)["evasion"] >= FOUND).mean()
    return [Figure("evasion: harmless prompts flagged", len(prompts), flagged, 0.002, at_most=True)]


def names(filter_: Filter, texts: HeldOut, count: int = 200) -> list[Figure]:
    """Public figures in prompts, and ordinary people and places taken for one."""
    from benchmarks.public_figures import famous, ordinary

    kinds: dict[str, list[str]] = {}
    for kind, prompt, _ in famous(count, random.Random(SEED)):
        kinds.setdefault(kind, []).append(prompt)
    recall = {kind: _named(filter_, prompts) for kind, prompts in kinds.items()}
    every = [prompt for prompts in kinds.values() for prompt in prompts]
    figures = [Figure("public figures: recall", len(every), _named(filter_, every), 0.95)]
    figures += [Figure(f"public figures: recall, {kind}", len(kinds[kind]), share) for kind, share in recall.items()]
    others = [prompt for _, prompt in ordinary(count, random.Random(SEED))]
    figures.append(
        Figure("public figures: ordinary people and places", len(others), _named(filter_, others), 0.01, True)
    )
    captions = texts.rows["text"][texts.rows["src"].isin(CAPTIONS)].tolist()
    if captions:
        figures.append(Figure("public figures: captions", len(captions), _named(filter_, captions), 0.01, True))
    return figures


def _named(filter_: Filter, prompts: Sequence[str]) -> float:
    scores = filter_.scores(prompts)
    return float((scores[["public_figure", "public_figure.historical"]].max(axis=1) >= _NAME_FOUND).mean())


def languages(filter_: Filter, folder: Path) -> list[Figure]:
    """Other languages caught where 1% of English is lost, and short English kept; on the halves held out."""
    foreign = [text for texts in language.foreign().values() for text in texts[1::2]]
    scores = filter_.scores(foreign)["language"].to_numpy()
    if not (folder / "train.parquet").exists():
        return [Figure("language: other ones caught at 0.5", len(foreign), (scores >= FOUND).mean())]
    english = {kind: texts[1::2][:1_000] for kind, texts in language.english(folder, 0).items()}
    home = {kind: filter_.scores(texts)["language"].to_numpy() for kind, texts in english.items()}
    at = threshold(np.concatenate(list(home.values())), 0.01)
    short = home["one to three words"]
    return [
        Figure("language: other ones caught, 1% of English lost", len(foreign), (scores > at).mean(), 0.97),
        Figure("language: other ones caught at 0.5", len(foreign), (scores >= FOUND).mean()),
        Figure("language: English of 1 to 3 words kept", len(short), (short < FOUND).mean(), 0.98),
    ]
