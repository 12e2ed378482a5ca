"""Scores labelled prompts with the pipeline that the service runs and writes a report with plots."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer
from rich.console import Console
from rich.progress import track

from services.commands.default_policy import DEFAULT_POLICY
from services.core.policy.document import load_policy
from services.prompt_filter.pipeline import PromptPipeline
from services.prompt_filter.settings import PromptFilterSettings
from training.report import figures, page
from training.report.labelled import ANY, KNOWN, Labelled, NotLabelled, read
from training.report.scoring import TIER, Scored, highest, score

console = Console(stderr=True, highlight=False)


def evaluate(
    prompts: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="Labelled prompts: .jsonl or .parquet.")],
    out: Annotated[Path, typer.Option(file_okay=False, help="Folder of the report.")] = Path("report"),
    benign: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False, help='Harmless prompts that set the thresholds; else rows with "any" 0.'
        ),
    ] = None,
    policy: Annotated[
        Path, typer.Option(exists=True, dir_okay=False, help="The policy that gives verdicts.")
    ] = DEFAULT_POLICY,
    workers: Annotated[int, typer.Option(min=1, help="Processes that score.")] = 1,
    show_texts: Annotated[bool, typer.Option("--show-texts", help="Show the texts of the worst errors.")] = False,
) -> None:
    """Score labelled prompts with the pipeline of the service; write report.md, report.json and plots.

    A row has "text", perhaps "src", and either "labels": ["violence", …], all that it violates, or a field a category
    with 1, 0 or -1 (unknown), and "any".
    """
    from training.report.plots import draw  # matplotlib takes a second to import

    try:
        given, passed_over = read(prompts)
        harmless = read(benign)[0] if benign else []
    except NotLabelled as error:
        console.print(str(error), markup=False, style="red")
        raise typer.Exit(2) from None
    if passed_over:
        console.print(f"fields that are no category and were passed over: {', '.join(passed_over)}", markup=False)
    texts = [row.text for row in (*given, *harmless)]
    scored = list(track(score(texts, policy, workers), "scoring", total=len(texts), console=console))
    rows, scores = tables(given, scored[: len(given)])
    if benign:
        _, quiet = tables(harmless, scored[len(given) :])
    else:
        quiet = scores[rows[ANY] == 0]
    limits = load_policy(policy.read_text(encoding="utf-8"), policy.name).limits
    found = figures.report(rows, scores, {name: limits[name, "prompt", TIER].review for name in KNOWN}, quiet)
    if not show_texts:
        for kinds in found["worst"].values():
            for errors in kinds.values():
                for error in errors:
                    del error["text"]
    out.mkdir(parents=True, exist_ok=True)
    drawn = draw(rows, scores, found["verdicts"], out / "plots")
    about = _about(prompts, policy)
    (out / "report.json").write_text(json.dumps({**about, **found}, indent=2, ensure_ascii=False) + "\n")
    (out / "report.md").write_text(page.render(found, about, drawn), encoding="utf-8")
    console.print(f"{out / 'report.md'}: {len(rows):,} texts")


def tables(given: list[Labelled], scored: list[Scored]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows (text, src, line, verdict, a label a category: 1, 0, -1) and their scores; a refused text scores 1."""
    rows = pd.DataFrame(
        {"text": row.text, "src": row.src, "line": row.line, "verdict": found.verdict}
        | {name: row.labels.get(name, -1) for name in (*KNOWN, ANY)}
        for row, found in zip(given, scored, strict=True)
    )
    missing = [0.0 if found.scores else 1.0 for found in scored]
    scores = pd.DataFrame(
        {name: found.scores.get(name, other) for name in KNOWN} | {ANY: highest(found.scores)}
        for found, other in zip(scored, missing, strict=True)
    )
    return rows, scores


def _about(prompts: Path, policy: Path) -> dict[str, str]:
    """What was measured with what."""
    models = PromptPipeline.load(PromptFilterSettings()).models
    return {
        "prompts": prompts.name,
        "policy": policy.name,
        "models": ", ".join(f"{model.name} {model.version} ({model.digest[:12]})" for model in models),
        "measured": datetime.now(UTC).strftime("%Y-%m-%d"),
    }


if __name__ == "__main__":
    typer.run(evaluate)
