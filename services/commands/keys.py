"""`portcullis keys`: the keys of clearances and of evidence, shown and rotated while the house runs."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from services.commands.plain import told_plainly
from services.core import clearance, evidence
from services.core.config import HouseSettings

app = typer.Typer(
    help="Rotate the keys of clearances and of evidence. Those of manifests: `portcullis provenance ca`.",
    no_args_is_help=True,
)
rotate = typer.Typer(help="Put new keys in the place of old ones; running rooms take them.", no_args_is_help=True)
app.add_typer(rotate, name="rotate")
out = Console(highlight=False, soft_wrap=True)


@app.command()
def show() -> None:
    """Show which keys of evidence there are, and since when each was in use.

    Example: portcullis keys show
    """
    table = Table(box=None, pad_edge=False)
    for column in ("file", "since"):
        table.add_column(column)
    with told_plainly():
        keys = HouseSettings().home / "keys"
        for path in sorted((*keys.glob("evidence*.key"), *keys.glob("pseudonyms.key"), *keys.glob("clearance/*.pem"))):
            since = datetime.fromtimestamp(path.stat().st_mtime, UTC)
            table.add_row(path.relative_to(keys).as_posix(), f"{since:%Y-%m-%d %H:%M}")
    out.print(table)


@rotate.command()
def clearances(
    distrust: Annotated[
        bool,
        typer.Option(help="The old keys may be known to others: what they signed ends now, requests on the way too."),
    ] = False,
) -> None:
    """A new key for every room that signs clearances. No request fails: old keys verify for two hours more.

    On several machines publish clearance/jwks.json to all first, and put the private keys in place when all have it.

    Example: portcullis keys rotate clearances
    """
    with told_plainly():
        folder = HouseSettings().home / "keys" / "clearance"
        clearance.rotate_keys(folder, datetime.now(UTC), distrust=distrust)
    ends = "are void" if distrust else "end in two hours"
    out.print(f"[bold green]rotated[/] the keys in {folder}; the old ones {ends}")


@rotate.command("evidence")
def evidence_key() -> None:
    """A new key for prompts and pictures under review; what the old one encrypted is read with it as before.

    Keep the old key until all of it has expired (PORTCULLIS_GATEWAY_EVIDENCE_DAYS, and golden cases until they are
    retired). On several machines bring the old key to all under its new name first, then the new one, readers before
    gateways.

    Example: portcullis keys rotate evidence
    """
    with told_plainly():
        earlier = evidence.rotate_evidence_key(_evidence_key(), datetime.now(UTC))
    out.print(f"[bold green]made[/] a new evidence.key; the old one is {earlier.name}")


@rotate.command()
def sealed() -> None:
    """A new pair for sealed cases, on the machine that holds the private key; what was sealed before opens as before.

    Example: portcullis keys rotate sealed
    """
    with told_plainly():
        earlier = evidence.rotate_sealed_key(_evidence_key(), datetime.now(UTC))
    out.print(f"[bold green]made[/] a new pair; the old private key is {earlier.name}")
    out.print("Give evidence-sealed.pub to every gateway.", style="dim")


def _evidence_key() -> Path:
    return HouseSettings().home / "keys" / "evidence.key"
