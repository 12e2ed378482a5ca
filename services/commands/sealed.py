"""`portcullis sealed`: hand a sealed case that two people upheld to those whom the law names."""

from __future__ import annotations

import asyncio
import getpass
import hashlib
import json
import os
import zipfile
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer
from rich.console import Console

from services.commands.plain import told_plainly
from services.core.config import HouseSettings
from services.core.errors import FailedPrecondition, InvalidInput, NotFound
from services.core.evidence import EvidenceStore
from services.core.store import audit, decisions, review_events, review_items
from services.core.store.database import Connection, single_transaction
from services.core.store.decisions import Decision
from services.core.store.review_events import Event
from services.core.store.review_items import REASONS, ReviewItem

app = typer.Typer(help="Sealed cases, for those who hold their key on this machine.", no_args_is_help=True)
out = Console(highlight=False)
LONGEST_REASON = 500


@app.callback()
def sealed() -> None:
    """Sealed cases, for those who hold their key on this machine."""


@app.command()
def export(
    item: Annotated[str, typer.Argument(help="The item's id.")],
    to: Annotated[Path, typer.Option(help="The ZIP file to write; must not exist.", dir_okay=False)],
    reason: Annotated[str, typer.Option(help=f"For whom and why, up to {LONGEST_REASON} characters; recorded.")],
) -> None:
    """Write a case for a report that the law demands: what was asked, by whom, when, and the trail of the decision.

    Only a case that two people of the sealed role upheld. The file is for its recipient alone: it holds the content.

    Example: portcullis sealed export 3f0c… --to case.zip --reason "report 2026-118 to the hotline"
    """
    with told_plainly():
        digest = asyncio.run(_export(_item_id(item), to, _reason(reason)))
    out.print(f"[bold green]written[/] {to}, readable by you alone; sha256 {digest}", soft_wrap=True)


def _item_id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise InvalidInput("item", "must be a UUID") from None


def _reason(text: str) -> str:
    if not 1 <= len(text.strip()) <= LONGEST_REASON:
        raise InvalidInput("reason", f"say for whom and why, in 1 to {LONGEST_REASON} characters")
    return text


async def _export(item_id: UUID, to: Path, reason: str) -> str:
    house = HouseSettings()
    evidence = EvidenceStore(house.home / "evidence", house.home / "keys" / "evidence.key")
    who = getpass.getuser()
    async with single_transaction(house.database()) as conn:
        item = await _upheld(conn, item_id)
        decision = await decisions.get(conn, item.tenant, item.decision_id)
        trail = await review_events.of_item(conn, item_id)
        content = {
            name: await asyncio.to_thread(evidence.get, blob_id)
            for name, blob_id in (
                ("prompt.txt", item.prompt),
                ("negative_prompt.txt", item.negative_prompt),
                ("image.png", item.image),
                ("mask.png", item.mask),
            )
            if blob_id is not None
        }
        report = json.dumps(_report(item, decision, trail, content), indent=2, ensure_ascii=False)
        digest = await asyncio.to_thread(_write, to, {"report.json": report.encode(), **content})
        await review_events.append(conn, item_id, "exported", who, reason=reason, sha256=digest)
        # The item's own trail says which case it was; auditors without the sealed role need not know.
        await audit.append(conn, who, "sealed.export", "sealed", sha256=digest)
    return digest


async def _upheld(conn: Connection, item_id: UUID) -> ReviewItem:
    item = await review_items.get(conn, item_id)
    if item is None or not item.sealed:
        raise NotFound("there is no such sealed item", reason="ITEM_UNKNOWN")
    if item.resolution != "uphold" or item.settled_at is None:
        raise FailedPrecondition("only what two people upheld, for good, is exported", reason="ITEM_NOT_UPHELD")
    return item


def _report(
    item: ReviewItem, decision: Decision | None, trail: list[Event], content: dict[str, bytes]
) -> dict[str, Any]:
    return {
        "item": str(item.item_id),
        "platform": item.tenant,
        "account": item.account,
        "stage": item.stage,
        "recorded_at": item.created_at.isoformat(),
        "reasons": REASONS.dump_python(item.reasons, mode="json"),
        "request": str(decision.request_id) if decision else None,
        "operation": decision.operation if decision else None,
        "policy": decision.policy if decision else None,
        "decided_at": item.decided_at.isoformat() if item.decided_at else None,
        "trail": [
            {"at": event.at.isoformat(), "what": event.kind, "who": event.actor, "hash": event.hash.hex()}
            for event in trail
        ],
        "files": {name: hashlib.sha256(data).hexdigest() for name, data in content.items()},
    }


def _write(to: Path, files: dict[str, bytes]) -> str:
    """Writes the ZIP, mode 0600, and returns its sha256; a file that exists is not touched."""
    try:
        descriptor = os.open(to, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise InvalidInput("to", f"{to} cannot be written: {error.strerror}") from error
    with os.fdopen(descriptor, "w+b") as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in files.items():
                archive.writestr(name, data)
        file.seek(0)
        return hashlib.file_digest(file, "sha256").hexdigest()
