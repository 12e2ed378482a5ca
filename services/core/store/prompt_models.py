"""Candidate models of the prompt filter: heads fitted from decisions, and which of them is on trial."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from services.core.errors import NotFound
from services.core.store.database import Connection


@dataclass(frozen=True, slots=True)
class PromptModel:
    """A candidate: `model_id` is the sha256 of its heads (.npz), fitted on the encoder with `encoder_sha256`."""

    model_id: str
    encoder_sha256: str
    figures: dict[str, Any] = field(repr=False)
    made_by: str
    made_at: datetime


async def register(conn: Connection, heads: bytes, encoder_sha256: str, figures: dict[str, Any], who: str) -> str:
    """Keeps a candidate and returns its id; the same heads again change nothing."""
    model_id = hashlib.sha256(heads).hexdigest()
    await conn.execute(
        "INSERT INTO prompt_models (model_id, encoder_sha256, heads, figures, made_by) VALUES (%s, %s, %s, %s, %s)"
        " ON CONFLICT DO NOTHING",
        [model_id, encoder_sha256, heads, Jsonb(figures), who],
    )
    return model_id


async def get(conn: Connection, model_id: str) -> PromptModel:
    """One candidate; raises NotFound where there is none."""
    found = [model for model in await known(conn) if model.model_id == model_id]
    if not found:
        raise NotFound(f"no model {model_id[:12]} is registered: `portcullis models list`", reason="MODEL_UNKNOWN")
    return found[0]


async def known(conn: Connection) -> list[PromptModel]:
    """All candidates, newest first."""
    async with conn.cursor(row_factory=class_row(PromptModel)) as cursor:
        await cursor.execute(
            "SELECT model_id, encoder_sha256, figures, made_by, made_at FROM prompt_models"
            " ORDER BY made_at DESC, model_id"
        )
        return await cursor.fetchall()


async def read_heads(conn: Connection, model_id: str) -> bytes:
    """The weights of a candidate; raises NotFound where there is none."""
    row = await (await conn.execute("SELECT heads FROM prompt_models WHERE model_id = %s", [model_id])).fetchone()
    if row is None:
        raise NotFound(f"no model {model_id[:12]} is registered", reason="MODEL_UNKNOWN")
    return bytes(row[0])


async def put_on_trial(conn: Connection, model_id: str | None, who: str) -> None:
    """Runs a candidate in shadow from the end of the transaction on; None ends the trial."""
    await conn.execute("INSERT INTO prompt_model_trials (model_id, started_by) VALUES (%s, %s)", [model_id, who])


async def on_trial(conn: Connection) -> str | None:
    """The candidate that runs in shadow, if any."""
    query = "SELECT model_id FROM prompt_model_trials ORDER BY trial_id DESC LIMIT 1"
    row = await (await conn.execute(query)).fetchone()
    return row[0] if row else None
