"""Fits a candidate from decisions and puts it on trial: `python -m training.prompt_filter.learn`.

Rows are what `harvest` finds; `adapt` moves the heads of the model in force; `beside` compares both. What comes out
is registered with its figures and runs in shadow; only a person makes it the judge, by a policy that names it. No
prompt is written anywhere: figures are counts.
"""

from __future__ import annotations

import asyncio
import getpass
import sys
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import compress
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer
from rich.console import Console
from rich.table import Table

from portcullis.cli.output import show_error
from portcullis.errors import PortcullisError as ClientError
from services.commands.plain import told_plainly
from services.core.artifacts import file_sha256, load_artifact
from services.core.config import HouseSettings
from services.core.errors import ConfigurationError, FailedPrecondition
from services.core.evidence import EvidenceStore
from services.core.policy.document import Policy, load_policy
from services.core.store import audit, lessons, policies, prompt_models
from services.core.store.database import Connection, single_transaction
from services.core.store.lessons import Lesson
from services.prompt_filter.settings import PromptFilterSettings
from training.prompt_filter import adapt, beside
from training.prompt_filter.adapt import Known
from training.prompt_filter.features import Model, Readings
from training.prompt_filter.harvest import MOST_OF_ACCOUNT, Harvest, harvest

SHIPPED = "shipped"

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)  # a pretty traceback would show prompts
out = Console(highlight=False, soft_wrap=True)


@dataclass(frozen=True, slots=True)
class Base:
    """The model in force: what a candidate starts from and is compared with. `bars` float32 (C,): the calibrated logits
    from which the policy has a person look at a new account's prompt.
    """

    model: Model
    encoder_sha256: str
    bars: np.ndarray


@dataclass(frozen=True, slots=True)
class Candidate:
    """New heads (.npz) with their figures; `fit` says whether it may go on trial by itself."""

    data: bytes = field(repr=False)
    figures: dict[str, Any]
    fit: bool


@app.command()
def learn(
    home: Annotated[Path | None, typer.Option(file_okay=False, help="Data home; else PORTCULLIS_HOME.")] = None,
    since: Annotated[int, typer.Option(min=1, max=365, help="How many days back, as far as evidence is kept.")] = 30,
    data: Annotated[
        Path | None, typer.Option(exists=True, file_okay=False, help="Labelled texts to measure on too.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the figures, register nothing.")] = False,
) -> None:
    """Fit a candidate from what image filter and analysts found in prompts, compare it, and put it on trial.

    Needs a policy with `learning: true`.
    """
    with told_plainly():
        house = HouseSettings(home=home) if home else HouseSettings()
        evidence = EvidenceStore(house.home / "evidence", house.home / "keys" / "evidence.key")
        base, found = asyncio.run(_open(house, timedelta(days=since)))
        rows = harvest(found, evidence.get, base.model.categories)
        candidate = make(base, rows, data)
        if candidate is None:
            out.print(f"nothing to learn: {len(rows.texts)} prompts of {since} days, too few of any category")
            return
        show(candidate)
        if not dry_run:
            out.print(asyncio.run(_register(house, base, candidate)))


def make(base: Base, rows: Harvest, data: Path | None) -> Candidate | None:
    """A candidate from the rows that are not held out, measured on the others; None where nothing is learned."""
    model, taught = base.model, ~rows.held_out
    labels, weights = rows.labels[taught], rows.weights[taught]
    if not ((labels >= 0).sum(axis=0) >= adapt.FEWEST).any():
        return None
    learned, held_out = (model.read([*compress(rows.texts, part)]) for part in (taught, rows.held_out))
    known, judging = beside.own_texts()
    steps = adapt.adapt(learned, labels, weights, Known(*_read(model, known)), model.slopes, base.bars)
    if not steps.any():
        return None

    def beside_active(readings: Readings, labels: np.ndarray) -> dict[str, Any]:
        return beside.by_category(readings, labels, steps, base.bars, model.categories)

    own = _read(model, judging)
    figures: dict[str, Any] = {
        "base": model.name,
        "prompts": {"learned from": learned.count, "held out": held_out.count, "unreadable": rows.unreadable},
        "learned from": beside_active(learned, labels),
        "held out": beside_active(held_out, rows.labels[rows.held_out]),
        "own texts": beside_active(*own),
        "harmless flagged": beside.on_harmless(*own, steps, base.bars),
    }
    if data:
        figures["data"] = beside_active(*_read(model, beside.dev_rows(data)))
    return Candidate(model.moved(steps), figures, beside.is_fit(figures["harmless flagged"], figures["own texts"]))


def _read(model: Model, rows: pd.DataFrame) -> tuple[Readings, np.ndarray]:
    """Labelled texts as the model reads them, and their labels int8 (N, C)."""
    return model.read(rows["text"].tolist()), rows[list(model.categories)].to_numpy(np.int8)


def show(candidate: Candidate) -> None:
    """Prints the figures, texts flagged by the model in force → by the candidate."""
    figures = candidate.figures
    table = Table("", "category", "violations", "found", "others", "flagged", title="model in force → candidate")
    for part in ("learned from", "held out", "own texts", "data"):
        for category, found in figures.get(part, {}).items():
            table.add_row(part, category, *_cells(found.get("violations")), *_cells(found.get("others")))
    harmless = figures["harmless flagged"]
    shares = f"{harmless['active']:.2%} → {harmless['candidate']:.2%}"
    table.add_row("harmless", "any", "", "", str(harmless["texts"]), shares)
    out.print(table)


def _cells(found: dict[str, int] | None) -> tuple[str, str]:
    return (str(found["texts"]), f"{found['active']} → {found['candidate']}") if found else ("", "")


async def _open(house: HouseSettings, age: timedelta) -> tuple[Base, list[Lesson]]:
    """The model in force and what there is to learn; raises FailedPrecondition where the policy forbids learning."""
    async with single_transaction(house.database()) as conn:
        activation = await policies.active(conn)
        if activation is None:
            raise ConfigurationError("no policy is in force: start `portcullis up` once", reason="NO_POLICY")
        policy = load_policy(activation.source, activation.policy_id)
        if not policy.document.learning:
            raise FailedPrecondition(
                f"the policy in force ({policy.document.name}) does not allow learning from prompts: activate one with "
                "`learning: true`",
                reason="LEARNING_NOT_ALLOWED",
            )
        return await _base(conn, policy), await lessons.since(conn, age, MOST_OF_ACCOUNT)


async def _base(conn: Connection, policy: Policy) -> Base:
    settings, named = PromptFilterSettings(), policy.document.prompt_model
    encoder = load_artifact(settings.encoder_uri, settings.encoder_sha256)
    tokenizer = load_artifact(settings.tokenizer_uri, settings.tokenizer_sha256)
    shipped = load_artifact(settings.heads_uri, settings.heads_sha256)
    data = await prompt_models.read_heads(conn, named) if named else shipped.read_bytes()
    model = Model(encoder, tokenizer, data, named or SHIPPED)
    reviews = np.array([policy.limits[name, "prompt", "new"].review for name in model.categories])
    bars = np.log(reviews / (1 - reviews)).astype(np.float32)
    return Base(model, file_sha256(encoder), bars)


async def _register(house: HouseSettings, base: Base, candidate: Candidate) -> str:
    """Keeps the candidate and puts it on trial if it is fit; returns what to do next."""
    who = getpass.getuser()
    async with single_transaction(house.database()) as conn:
        model_id = await prompt_models.register(
            conn, candidate.data, base.encoder_sha256, candidate.figures, f"{who} (learn)"
        )
        await audit.append(conn, who, "model.learned", model_id, base=base.model.name, **candidate.figures["prompts"])
        if candidate.fit:
            await prompt_models.put_on_trial(conn, model_id, who)
            await audit.append(conn, who, "model.trial", model_id)
    short = model_id[:12]
    if not candidate.fit:
        return (
            f"registered {short}, NOT on trial: it flags over {beside.MOST_WORSE:.1%} more of the harmless texts, or "
            f"loses over {beside.MOST_LOST:.0%} of the violations of a category\n"
            f"look: portcullis models show {short}"
        )
    return (
        f"registered {short}, on trial: answers stay as they are, differences are counted\n"
        f"look: portcullis models show {short}\nstop: portcullis models trial --end\n"
        f"promote, by a policy with the line: prompt_model: {model_id}"
    )


def main() -> None:
    """Runs the job; expected failures end it with one clear message."""
    try:
        app()
    except ClientError as error:
        show_error(error)
        sys.exit(1)


if __name__ == "__main__":
    main()
