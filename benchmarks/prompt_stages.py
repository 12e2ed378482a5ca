"""What each stage of the prompt filter costs: microseconds a prompt and a kilobyte, on ordinary and hostile texts.

Run by `make bench`; prints a table and writes benchmarks/results/prompt_stages.json.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from unittest.mock import patch

from rich.console import Console
from rich.table import Table

from services.commands.redteam_spellings import SPELLINGS
from services.core.errors import InvalidInput
from services.prompt_filter.pipeline import PromptPipeline
from services.prompt_filter.settings import PromptFilterSettings
from services.prompt_filter.validate import MAX_CHARACTERS
from training.prompt_filter import texts
from training.prompt_filter.data import CATEGORIES

RESULTS = Path(__file__).parent / "results" / "prompt_stages.json"
SEED = 7
_PROMPTS, _LONG, _TIMES = 300, 50, 2
_TOTAL = "all"


def main() -> None:
    """Measures, prints, writes."""
    pipeline = PromptPipeline.load(PromptFilterSettings())
    kinds = {"ordinary": ordinary(), "long": long(), **{f"hostile: {name}": [text] for name, text in hostile().items()}}
    figures = {name: measure(pipeline, prompts) for name, prompts in kinds.items()}
    stages = list(next(iter(figures.values()))["microseconds a prompt"])
    console = Console(width=max(Console().width, 140), highlight=False)
    for unit in ("microseconds a prompt", "microseconds a kilobyte"):
        table = Table("texts", "number", "bytes", *stages, title=f"{unit}, median")
        for name, found in figures.items():
            if unit == "microseconds a prompt" and name.startswith("hostile"):
                continue
            row = (f"{found[unit].get(stage, 0.0):,.0f}" for stage in stages)
            table.add_row(name, str(found["texts"]), f"{found['bytes']:,}", *row)
        console.print(table)
    name, worst = max(figures.items(), key=lambda item: item[1]["microseconds a kilobyte"][_TOTAL])
    console.print(f"worst: {worst['microseconds a kilobyte'][_TOTAL] / 1000:.1f} ms a kilobyte ({name})")
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(figures, indent=2) + "\n")


def ordinary() -> list[str]:
    """Prompts as people write them."""
    rows = texts.read(CATEGORIES)
    return rows["text"][rows["group"].str.startswith("ordinary")].sample(_PROMPTS, random_state=SEED).tolist()


def long() -> list[str]:
    """Paragraphs strung together, each as long as a prompt may be."""
    rows = texts.read(CATEGORIES)
    paragraphs = rows["text"][rows["src"] == "own-long"].tolist()
    draw = random.Random(SEED)
    return [" ".join(draw.sample(paragraphs, 40))[:MAX_CHARACTERS] for _ in range(_LONG)]


def hostile() -> dict[str, str]:
    """Texts of full length that are made to cost time: every spelling, and what no person writes."""
    draw = random.Random(SEED)
    prose = long()[0]
    made: dict[str, Callable[[], str]] = {
        name: lambda spell=spell: spell(prose, draw) for name, spell in SPELLINGS.items()
    }
    made |= {
        "one letter": lambda: "a" * MAX_CHARACTERS,
        "blanks": lambda: "a " * (MAX_CHARACTERS // 2),
        "marks": lambda: "a" + "\u0301" * (MAX_CHARACTERS - 1),
        "digits": lambda: "4" * MAX_CHARACTERS,
        "signs": lambda: "a.-_*" * (MAX_CHARACTERS // 5),
        "emoji": lambda: "🔥" * MAX_CHARACTERS,
        "open tags": lambda: "a<b" * (MAX_CHARACTERS // 3),
        "random letters": lambda: "".join(draw.choices("abcdefghijklmnopqrstuvwxyz ", k=MAX_CHARACTERS)),
        "random signs": lambda: "".join(draw.choices("a4@$!|._-*e3 s5", k=MAX_CHARACTERS)),
        "names": lambda: "Jon Smyth Mari Jonson " * (MAX_CHARACTERS // 22),
        "mixed scripts": lambda: "".join(draw.choices("aаαօբᎪ一ا", k=MAX_CHARACTERS)),
    }
    return {name: make()[:MAX_CHARACTERS] for name, make in made.items()}


def measure(pipeline: PromptPipeline, prompts: Sequence[str]) -> dict[str, dict[str, float] | int]:
    """Median microseconds of CPU of each stage and of all, a prompt and a kilobyte (1,000 bytes of UTF-8).

    A text that is refused counts with the time that took.
    """
    taken: list[dict[str, float]] = []
    for prompt in prompts:
        runs = [_once(pipeline, prompt) for _ in range(_TIMES if len(prompts) == 1 else 1)]
        taken.append(min(runs, key=lambda run: run[_TOTAL]))
    sizes = [len(prompt.encode()) for prompt in prompts]
    stages = dict.fromkeys(stage for run in taken for stage in run)
    return {
        "texts": len(prompts),
        "bytes": int(median(sizes)),
        "microseconds a prompt": {s: round(median(run.get(s, 0.0) for run in taken), 1) for s in stages},
        "microseconds a kilobyte": {
            s: round(median(run.get(s, 0.0) / size * 1000 for run, size in zip(taken, sizes, strict=True)), 1)
            for s in stages
        },
    }


def _once(pipeline: PromptPipeline, prompt: str) -> dict[str, float]:
    begin = time.thread_time()
    try:
        # The time of other programs on the same cores is not ours.
        with patch("services.core.timing.perf_counter", time.thread_time):
            stages = pipeline.measure(prompt).timings
    except InvalidInput:
        stages = {}
    return {stage: ms * 1000 for stage, ms in stages.items()} | {_TOTAL: (time.thread_time() - begin) * 1e6}


if __name__ == "__main__":
    main()
