"""The prompt filter on texts that it was not trained on: goals beside figures, and two other filters on the same texts.

Run by `make bench-prompts`; prints a table and writes benchmarks/results/prompt_filter.json.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmarks.prompts import process, quality, speed, unseen
from benchmarks.prompts.filters import Filter, ours, peers
from benchmarks.prompts.held_out import HeldOut, held_out
from benchmarks.report.table import Figure, record, table
from services.prompt_filter.pipeline import PromptPipeline
from services.prompt_filter.settings import PromptFilterSettings

RESULTS = Path(__file__).parent / "results" / "prompt_filter.json"
DATA = Path(__file__).resolve().parents[2] / "shared" / "datasets" / "text"
# What every filter can be asked: is this text a violation?
SHARED: tuple[Callable[[Filter, HeldOut], list[Figure]], ...] = (
    quality.recalls,
    quality.contrasts,
    quality.general,
    lambda filter_, texts: quality.disguises(filter_, texts)[0],
)


def main(data: Annotated[Path, typer.Option(help="Folder of train.parquet.")] = DATA) -> None:
    """Measures, prints, writes."""
    console = Console(width=max(Console().width, 150), highlight=False)
    begin = time.monotonic()
    if not (data / "train.parquet").exists():
        console.print(f"{data} holds no train.parquet: measured on the texts of this repository alone")
    texts = held_out(data)
    pipeline = PromptPipeline.load(PromptFilterSettings())
    portcullis = ours(pipeline)
    figures = _shared(portcullis, texts, console)
    figures += unseen.figures()
    figures += quality.calibrated(portcullis, texts)
    figures += quality.evasion(portcullis, texts)
    figures += quality.names(portcullis, texts)
    figures += quality.languages(portcullis, data)
    figures += process.measure(speed.mix(texts))
    others = {other.name: _shared(other, texts, console) for other in peers()}
    models = {model.name: f"{model.version} {model.digest[:12]}".strip() for model in pipeline.models}
    title = ", ".join(f"{name} {version}" for name, version in models.items())
    console.print(table(title, figures, others))
    console.print(
        "FP: false positives, the share of ordinary prompts flagged; a peer has one score for all categories."
    )
    seconds = time.monotonic() - begin
    missed = sum(figure.met is False for figure in figures)
    console.print(f"{missed} goals missed of {sum(f.met is not None for f in figures)}; took {seconds:.0f} s")
    RESULTS.parent.mkdir(exist_ok=True)
    found = {"models": models, "seconds": round(seconds), "figures": record(figures)}
    found["others"] = {name: record(theirs) for name, theirs in others.items()}
    RESULTS.write_text(json.dumps(found, indent=2) + "\n")


def _shared(filter_: Filter, texts: HeldOut, console: Console) -> list[Figure]:
    """What can be asked of every filter: quality on its share of the texts, speed on the same prompts for all."""
    figures = speed.measure(filter_, texts)
    texts = texts.sample(filter_.share) if filter_.share < 1 else texts
    for part in SHARED:
        console.print(f"· {filter_.name}", style="dim", end="\r")
        figures += part(filter_, texts)
    return figures


if __name__ == "__main__":
    typer.run(main)
