"""Compiles word frequencies, and fits and measures the language test: `python -m training.prompt_filter.language`.

English: prompts and captions of the training data, whole, cut to one to three words, and as the phrases of prompts that
are lists. Other languages: foreign.yaml. Every second text of either is held out; what is printed is measured on these,
on foreign_unseen.yaml and on short prompts drawn from short.yaml. The weights that it prints belong into
services/prompt_filter/language.py.
"""

from __future__ import annotations

import argparse
import random
import re
from pathlib import Path

import numpy as np
import pandas as pd
import wordfreq
import yaml
from sklearn.linear_model import LogisticRegression

from services.prompt_filter import language
from services.prompt_filter.normalize import plain

DATA = Path(language.__file__).parent / "data" / "word_frequencies.npz"
# Of each language that is written in Latin letters; English first.
LANGUAGES = [
    "en", "es", "fr", "de", "it", "pt", "nl", "sv", "da", "nb", "fi", "pl", "cs", "sk", "hu", "ro", "tr", "id", "ms",
    "fil", "vi", "ca", "sh", "sl", "lt", "lv", "is",
]  # fmt: skip
# How much English weighs against the rest: sets where p = 0.5 lies.
_WEIGHT = 1.0
_WORDS, _ENGLISH_WORDS = 6_000, 18_000
_ARTICLE = 8
_LEAST, _ROMANISED = 20, 60  # tenths of the Zipf scale


def compile_frequencies() -> None:
    """Writes data/word_frequencies.npz: `languages`, `words` (UTF-8, a line each), `zipf` uint8 (words, languages)."""
    words = {
        word
        for code in LANGUAGES
        for word in wordfreq.top_n_list(code, _ENGLISH_WORDS if code == "en" else _WORDS)
        if re.fullmatch(r"[^\W\d_]+(?:'[^\W\d_]+)?", word) and language._is_latin(word)
    }
    romanised = yaml.safe_load(Path(__file__).with_name("romanised.yaml").read_text(encoding="utf-8"))
    listed = [set(text.split()) for text in romanised.values()]
    rows = sorted(words.union(*listed))
    zipf = np.zeros((len(rows), len(LANGUAGES)), np.uint8)
    for column, code in enumerate(LANGUAGES):
        frequencies = wordfreq.get_frequency_dict(code)
        values = [frequencies.get(word, 0) for word in rows]
        zipf[:, column] = [round(10 * wordfreq.freq_to_zipf(value)) if value > 1e-7 else 0 for value in values]
    zipf[zipf < _LEAST] = 0
    added = np.array([[_ROMANISED if word in words else 0 for words in listed] for word in rows], np.uint8)
    zipf = np.hstack([zipf, added])
    # Prompts begin with it; no other language says it as often in a picture's title.
    article = rows.index("a")
    zipf[article, 1:] = np.minimum(zipf[article, 1:], zipf[article, 0] - _ARTICLE)
    text = np.frombuffer("\n".join(rows).encode(), np.uint8)
    np.savez_compressed(DATA, languages=np.array([*LANGUAGES, *romanised]), words=text, zipf=zipf)
    print(f"{len(rows):,} words of {len(LANGUAGES)} languages, {DATA.stat().st_size / 1e6:.1f} MB")


def english(folder: Path, seed: int) -> dict[str, list[str]]:
    """English texts by kind."""
    rows = pd.read_parquet(folder / "train.parquet")
    rows = rows[rows["src"].isin(["coco", "diffdb", "t2icomp", "copro", "nibrw"])]
    texts = sorted(set(rows[rows["text"].map(str.isascii)]["text"]))
    draw = random.Random(seed)
    draw.shuffle(texts)
    lists = [
        text for text in sorted(set(rows[rows["src"] == "diffdb"]["text"])) if text.count(",") >= 3 and text.isascii()
    ]
    draw.shuffle(lists)
    return {
        "whole": texts[:6_000],
        "one to three words": [_chunk(text, draw) for text in texts[6_000:12_000]],
        "lists": [
            ", ".join(draw.sample(parts, min(len(parts), draw.randint(1, 4)))) for parts in map(_parts, lists[:2_000])
        ],
    }


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _chunk(text: str, draw: random.Random) -> str:
    words = re.findall(r"[A-Za-z][A-Za-z'-]*", text) or ["a"]
    size = draw.randint(1, 3)
    at = draw.randrange(max(1, len(words) - size + 1))
    return " ".join(words[at : at + size])


def short(seed: int, count: int = 600) -> list[str]:
    """Plain English prompts of one to three words, drawn from short.yaml."""
    text = Path(__file__).with_name("short.yaml").read_text(encoding="utf-8")
    words = {kind: listed.split() for kind, listed in yaml.safe_load(text).items()}
    things = [word for kind, listed in words.items() if kind not in ("adjectives", "verbs") for word in listed]
    draw = random.Random(seed)
    prompts = [*things]
    while len(set(prompts)) < 2 * count:
        thing, adjective, verb = draw.choice(things), draw.choice(words["adjectives"]), draw.choice(words["verbs"])
        prompts += [f"a {thing}", f"the {thing}", f"{adjective} {thing}", f"{thing} {verb}", f"{thing}s"]
        prompts += [f"a {adjective} {thing}", f"{verb} {thing}", f"{thing} and {draw.choice(things)}", thing.title()]
    return draw.sample(sorted(set(prompts)), count)


def foreign(name: str = "foreign.yaml") -> dict[str, list[str]]:
    """Texts by language."""
    texts: dict[str, list[str]] = yaml.safe_load(Path(__file__).with_name(name).read_text(encoding="utf-8"))
    return texts


def main() -> None:
    """Compiles, fits, prints the weights and what they reach on the texts held out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/datasets/text"))
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    compile_frequencies()
    test = language.LanguageTest()
    home, abroad = english(options.data, options.seed), foreign()
    fit_home = [text for texts in home.values() for text in texts[::2]]
    fit_abroad = [text for texts in abroad.values() for text in texts[::2]]
    for name, with_guess in (("_WORDS", False), ("_BOTH", True)):
        rows = [_features(test, text, with_guess) for text in (*fit_home, *fit_abroad)]
        known = np.array([row is not None for row in rows])
        x = np.array([row for row in rows if row is not None])
        y = np.array([1] * len(fit_home) + [0] * len(fit_abroad))[known]
        weights = np.where(y == 1, _WEIGHT / (y == 1).sum(), 1.0 / (y == 0).sum())
        model = LogisticRegression(C=1.0, fit_intercept=False, max_iter=1000).fit(x, y, weights * len(y))
        coefficients = tuple(round(float(weight), 3) for weight in model.coef_[0])
        print(f"{name} = {coefficients}")
        setattr(language, name, coefficients)
    held_out = {kind: texts[1::2] for kind, texts in home.items()} | {"short.yaml": short(options.seed)}
    _report(test, held_out, {code: texts[1::2] for code, texts in abroad.items()})
    print("Written after the fit:")
    _report(test, held_out, foreign("foreign_unseen.yaml"))


def _features(test: language.LanguageTest, text: str, with_guess: bool) -> tuple[float, ...] | None:
    evidence = test.evidence(plain(text).text)
    if evidence is None:
        return None
    return (*evidence.features, test.guess(evidence.words)) if with_guess else evidence.features


def _report(test: language.LanguageTest, home: dict[str, list[str]], abroad: dict[str, list[str]]) -> None:
    """Prints what is lost and caught at 0.5, and what is caught where 1% of English is lost."""
    scores = {kind: [test.of(plain(text).text).english for text in texts] for kind, texts in home.items()}
    others = {code: [test.of(plain(text).text).english for text in texts] for code, texts in abroad.items()}
    for kind, values in scores.items():
        lost = [text for text, value in zip(home[kind], values, strict=True) if value < 0.5]
        print(f"English, {kind}: {len(lost) / len(values):.2%} of {len(values)} lost, such as {lost[:8]}")
    every = [value for values in others.values() for value in values]
    print(f"not English: {np.mean(np.array(every) < 0.5):.2%} of {len(every)} caught")
    for code, values in others.items():
        passed = [text for text, value in zip(abroad[code], values, strict=True) if value >= 0.5]
        if passed:
            print(f"  {code} passed: {passed}")
    threshold = float(np.quantile([value for values in scores.values() for value in values], 0.01))
    print(f"where 1% of English is lost (below {threshold:.3f}): {np.mean(np.array(every) < threshold):.2%} caught")


if __name__ == "__main__":
    main()
