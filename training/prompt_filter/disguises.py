"""How much the filter still finds when violations are disguised: `python -m training.prompt_filter.disguises`.

Takes violations that the filter finds as they stand (some category ≥ 0.5), writes each in every spelling of
`services.commands.redteam_spellings`, and prints the share that it still finds (in any category of contents), the share
that it calls `evasion`, and the share whose undressed form is the plain text to the letter, in either case.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.table import Table

from services.commands.redteam_spellings import SPELLINGS
from services.core.errors import InvalidInput
from services.prompt_filter.normalize import plain, undress
from services.prompt_filter.pipeline import PromptPipeline
from services.prompt_filter.settings import PromptFilterSettings
from services.prompt_filter.vocabulary import vocabulary

# What is said of a text as a whole and not of its contents.
_FORMAL = ("language", "evasion")
_FOUND = 0.5


def main() -> None:
    """Prints a row a spelling."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/datasets/text"))
    parser.add_argument("--texts", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    pipeline = PromptPipeline.load(PromptFilterSettings())
    texts = _found(pipeline, options.data, options.texts, options.seed)
    table = Table("spelling", "found", "evasion", "read to the letter", title=f"{len(texts)} violations found plain")
    for name, spell in SPELLINGS.items():
        found = evasion = exact = 0
        for at, text in enumerate(texts):
            spelled = spell(text, random.Random(options.seed * 100_000 + at))
            score, evades = _scores(pipeline, spelled)
            found += score >= _FOUND
            evasion += evades >= _FOUND
            exact += undress(plain(spelled), vocabulary()).text.casefold() == " ".join(text.split()).casefold()
        table.add_row(name, *(f"{100 * count / len(texts):.1f}%" for count in (found, evasion, exact)))
    Console().print(table)


def _found(pipeline: PromptPipeline, folder: Path, count: int, seed: int) -> list[str]:
    """Texts of at most 200 characters with a violation that the filter finds as they stand."""
    rows = pd.read_parquet(folder / "train.parquet")
    # Adult content is left out where words of age may be near: no such text is looked at here.
    rows = rows[
        (rows["any"] == 1) & (rows["sexual_minors"] != 1) & rows["src"].isin(["copro", "nib", "nibrw", "catqa"])
    ]
    rows = rows[(rows["text"].str.len() <= 200) & rows["text"].map(str.isascii)]
    texts = sorted(set(rows["text"]))
    random.Random(seed).shuffle(texts)
    found: list[str] = []
    for text in texts:
        if _scores(pipeline, text)[0] >= _FOUND:
            found.append(text)
        if len(found) == count:
            break
    return found


def _scores(pipeline: PromptPipeline, text: str) -> tuple[float, float]:
    """The highest score of a category of contents, and that of `evasion`."""
    try:
        scores = pipeline.measure(text).scores()
    except InvalidInput:  # longer than a prompt may be: refused is found
        return 1.0, 0.0
    return max(score for category, score in scores.items() if category not in _FORMAL), scores["evasion"]


if __name__ == "__main__":
    main()
