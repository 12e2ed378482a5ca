"""`portcullis policy`: check a policy file, read what it says, put it in force."""

from __future__ import annotations

import asyncio
import getpass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from services.commands.plain import told_plainly
from services.core.config import HouseSettings
from services.core.errors import NotFound
from services.core.policy.categories import CATEGORIES, STAGES, possible_at
from services.core.policy.document import Policy, PolicyError, load_policy
from services.core.policy.examples import try_examples
from services.core.policy.limits import TIERS, Limit
from services.core.policy.schema import NEVER
from services.core.store import policies, prompt_models
from services.core.store.database import single_transaction
from services.core.verdicts import Tier

app = typer.Typer(help="Check, read and activate policies.", no_args_is_help=True)
out = Console(highlight=False)

PolicyFile = Annotated[Path, typer.Argument(help="A policy in YAML.", exists=True, dir_okay=False, readable=True)]


def _read(path: Path) -> Policy:
    """The policy in a file; prints every mistake as `file:line:column: …` and exits with 1 where it is none."""
    try:
        return load_policy(path.read_text(encoding="utf-8"), str(path))
    except PolicyError as error:
        for problem in error.problems:
            typer.echo(problem.render(error.source), err=True)
    except UnicodeDecodeError as error:
        typer.echo(f"{path}:1:1: not UTF-8 (byte {error.start})", err=True)
    raise typer.Exit(1)


async def _in_force() -> Policy:
    async with single_transaction(HouseSettings().database()) as connection:
        activation = await policies.active(connection)
    if activation is None:
        raise NotFound("no policy was ever activated: `portcullis policy activate FILE`", reason="NO_POLICY")
    out.print(f"in force since {activation.activated_at:%Y-%m-%d %H:%M:%S} UTC, by {escape(activation.activated_by)}")
    return load_policy(activation.source, activation.policy_id)


async def _activate(policy: Policy, who: str, *, if_none: bool) -> str:
    """Returns the id of the policy that is in force then."""
    async with single_transaction(HouseSettings().database()) as connection:
        if policy.document.prompt_model:
            await prompt_models.get(connection, policy.document.prompt_model)
        if if_none:
            return (await policies.ensure_default(connection, policy.text, who)).policy_id
        await policies.put(connection, policy, who)
        await policies.activate(connection, policy.id, who, datetime.now(UTC))
        return policy.id


@app.command()
def validate(file: PolicyFile) -> None:
    """Check a policy; every mistake is named with its line and column."""
    policy = _read(file)
    out.print(f"[green]valid[/] {escape(policy.document.name)} {policy.id}")


@app.command()
def show(
    file: Annotated[Path | None, typer.Argument(help="A policy in YAML; without it, the one in force.")] = None,
    tier: Annotated[str, typer.Option(help="new, trusted, invited or red_team.")] = "new",
) -> None:
    """Show what a policy comes to: every threshold, with inheritance and floors applied, and every rule."""
    tiers: dict[str, Tier] = {name: name for name in TIERS}
    if tier not in tiers:
        raise typer.BadParameter(f"must be one of {', '.join(tiers)}", param_hint="--tier")
    with told_plainly():
        policy = _read(file) if file else asyncio.run(_in_force())
    out.print(f"[bold]{escape(policy.document.name)}[/] {policy.id}\n{escape(policy.document.description)}")
    out.print(_thresholds(policy, tiers[tier]))
    for rule in policy.document.rules:
        out.print(f"[bold]{rule.name}[/] {', '.join(rule.stages)} → {rule.verdict} {rule.category}")
        out.print(f"  {escape(rule.message)}\n  [dim]{escape(' '.join(rule.when.split()))}[/]")


@app.command("test")
def test_(file: PolicyFile) -> None:
    """Try every rule on its own examples: what must fire it and what must not. Exits with 1 where one is wrong."""
    # Here: validating a policy must not need the combo filter's models.
    from services.combo_filter.settings import ComboFilterSettings
    from services.combo_filter.words import Words

    policy = _read(file)
    with told_plainly():
        tried = list(try_examples(policy, Words.load(ComboFilterSettings()).measure))
    table = Table("rule", "fires", "passes", title="examples that are right")
    for rule in policy.document.rules:
        kinds = [
            [one.right for one in tried if one.rule == rule.name and one.wanted is wanted] for wanted in (True, False)
        ]
        table.add_row(rule.name, *(f"{sum(right)} of {len(right)}" if right else "[yellow]none[/]" for right in kinds))
    out.print(table)
    wrong = [one for one in tried if not one.right]
    for one in wrong:
        said = escape(repr(one.example.prompt) if one.example.prompt else str(one.example.scores))
        out.print(f"[red]{one.rule}[/] {'should fire' if one.wanted else 'should pass'}, {one.outcome.value}: {said}")
    if wrong:
        raise typer.Exit(1)


@app.command()
def activate(
    file: PolicyFile,
    by: Annotated[str, typer.Option(help="Who answers for it; recorded.")] = "",
    if_none: Annotated[bool, typer.Option("--if-none", help="Only where no policy was ever put in force.")] = False,
) -> None:
    """Put a policy in force; running services follow within seconds."""
    policy = _read(file)
    with told_plainly():
        in_force = asyncio.run(_activate(policy, by or getpass.getuser(), if_none=if_none))
    if in_force != policy.id:
        out.print(f"another one is in force: {in_force}")
        return
    out.print(f"[green]in force[/] {escape(policy.document.name)} {policy.id}")


def _thresholds(policy: Policy, tier: Tier) -> Table:
    table = Table("category", *STAGES, title=f"review / block, tier {tier}")
    for category in CATEGORIES:
        cells = (policy.limits[category, stage, tier] if possible_at(category, stage) else None for stage in STAGES)
        table.add_row(category, *(_cell(limit) for limit in cells))
    return table


def _cell(limit: Limit | None) -> str:
    if limit is None:
        return ""
    block = "never" if limit.block == NEVER else f"{limit.block:g}"
    return f"{limit.review:g} / {block}{'' if limit.held else ' (release)'}"
