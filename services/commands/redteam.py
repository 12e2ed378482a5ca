"""`portcullis redteam`: attacks our own prompt filter with the tricks that people use, and counts what gets through."""

from __future__ import annotations

import asyncio
import getpass
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from portcullis.errors import PortcullisError as ClientError
from services.commands import redteam_run, redteam_wordings
from services.commands.plain import told_plainly
from services.commands.redteam_run import Attempt, Tally
from services.commands.redteam_spellings import SPELLINGS
from services.commands.scan import COLUMNS, Prompt
from services.commands.scan_rows import BadLine, Line, lines
from services.core.config import HouseSettings
from services.core.errors import ConfigurationError, InvalidInput, PermissionDenied
from services.core.policy.document import Policy, load_policy
from services.core.policy.evaluate import evaluate
from services.core.store import accounts, audit, policies
from services.core.store.database import single_transaction
from services.core.verdicts import Judgement, Tier

TIER: Tier = "red_team"

err = Console(stderr=True, highlight=False)
out = Console(highlight=False)


def redteam(
    source: Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True, help="JSON lines {id, text}.")],
    account: Annotated[str, typer.Option(help="The tester; must be of tier red_team.")],
    tenant: Annotated[str, typer.Option(help="The platform that the tester belongs to.")] = "demo",
    report: Annotated[Path | None, typer.Option(dir_okay=False, help="Where the figures go, as JSON.")] = None,
    bypasses: Annotated[
        Path | None, typer.Option(dir_okay=False, help="Where texts that got through go, as JSON lines (mode 0600).")
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed makes the same attacks.")] = 1,
) -> None:
    """Disguise, reword and reframe prompts that the filter stops, and report how many get through.

    Every prompt is judged by the policy in force, as the service would. The run is recorded.

    Example: portcullis accounts tier demo tester-1 red_team && portcullis redteam prompts.jsonl --account tester-1
    """
    with told_plainly():
        policy = asyncio.run(_admit(tenant, account, source, seed))
        tally = _run(source, policy, bypasses, seed)
        figures = _figures(tally)
        asyncio.run(_record(tenant, account, "red_team.finished", figures))
    if report:
        report.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    _show(tally)


async def _admit(tenant: str, account: str, source: Path, seed: int) -> Policy:
    """The policy in force, for a tester of the right tier; the run is recorded before it begins."""
    async with single_transaction(HouseSettings().database()) as conn:
        known = await accounts.get(conn, tenant, account)
        if known is None or known.tier != TIER:
            raise PermissionDenied(
                f"{account} of {tenant} is not of tier {TIER}: `portcullis accounts tier {tenant} {account} {TIER}`",
                reason="NOT_RED_TEAM",
            )
        activation = await policies.active(conn)
        if activation is None:
            raise ConfigurationError("no policy is in force: start `portcullis up` once", reason="NO_POLICY")
        detail = {"policy": activation.policy_id, "file": source.name, "seed": seed}
        await audit.append(conn, getpass.getuser(), "red_team.started", f"{tenant}/{account}", **detail)
    return load_policy(activation.source, activation.policy_id)


async def _record(tenant: str, account: str, action: str, detail: dict[str, Any]) -> None:
    async with single_transaction(HouseSettings().database()) as conn:
        await audit.append(conn, getpass.getuser(), action, f"{tenant}/{account}", **detail)


def _run(source: Path, policy: Policy, bypasses: Path | None, seed: int) -> Tally:
    from services.prompt_filter.pipeline import PromptPipeline
    from services.prompt_filter.settings import PromptFilterSettings

    pipeline = PromptPipeline.load(PromptFilterSettings())

    def judge(text: str) -> Judgement:
        return evaluate(policy, "prompt", TIER, pipeline.measure(text))

    attacks = {**SPELLINGS, **redteam_wordings.load()}
    tally = Tally()
    with _private(bypasses) as kept, Progress(*COLUMNS, console=err) as progress:
        task = progress.add_task("attacking", total=source.stat().st_size)
        for line in lines(source):
            for attempt in _tried(line, redteam_run.attempts(_text(line), judge, attacks, seed, tally)):
                if attempt.bypassed:
                    row = {"attack": attempt.attack, "category": attempt.category, "text": attempt.text}
                    kept.write(json.dumps(row, ensure_ascii=False) + "\n")
            progress.advance(task, len(line.data))
    return tally


def _text(line: Line) -> str:
    try:
        item: Prompt = line.parse(Prompt)
    except BadLine as error:
        raise ClientError(f"line {line.number}: {error}", code="INVALID_ARGUMENT") from None
    return item.text


def _tried(line: Line, found: Iterator[Attempt]) -> Iterator[Attempt]:
    """The attempts on a line; one whose prompt is none stops the run and names its line."""
    try:
        yield from found
    except InvalidInput as error:
        raise ClientError(f"line {line.number}: {error}", code="INVALID_ARGUMENT") from None


def _private(path: Path | None) -> IO[str]:
    """A file that only its owner can read; nowhere, without a path."""
    place = os.open(path or os.devnull, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    return os.fdopen(place, "w", encoding="utf-8")


def _figures(tally: Tally) -> dict[str, Any]:
    """Counts and rates, fit for JSON; no words of a prompt."""
    by_attack = {
        attack: {
            "tried": sum(count for key, count in tally.tried.items() if key[0] == attack),
            "bypass rate": tally.rate(attack),
            "by category": {
                category: tally.rate(attack, category) for name, category in sorted(tally.tried) if name == attack
            },
        }
        for attack in dict.fromkeys(attack for attack, _ in tally.tried)
    }
    return {"prompts": tally.prompts, "allowed plain": tally.allowed_plain, "attacks": by_attack}


def _show(tally: Tally) -> None:
    categories = sorted({category for _, category in tally.tried})
    table = Table("attack", "tried", "all", *categories, title="share that got through")
    for attack in dict.fromkeys(attack for attack, _ in tally.tried):
        tried = sum(count for key, count in tally.tried.items() if key[0] == attack)
        cells = (_percent(tally.rate(attack, category)) for category in (None, *categories))
        table.add_row(attack, str(tried), *cells)
    out.print(table)
    stopped = tally.prompts - tally.allowed_plain
    out.print(f"{tally.prompts} prompts: {stopped} stopped plain and attacked, {tally.allowed_plain} allowed plain")


def _percent(rate: float | None) -> str:
    return "" if rate is None else f"{rate:.0%}"
