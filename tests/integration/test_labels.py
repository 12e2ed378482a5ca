"""Labels on a real Postgres: what a settled decision says about scores, and what says nothing."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from prometheus_client import REGISTRY
from typer.testing import CliRunner

from services.commands.learning import app
from services.core.store import decisions, lessons, review_items
from services.core.store.database import Database
from services.core.store.decisions import Decision
from services.core.store.review_items import Kind, NewReviewItem
from services.core.verdicts import Reason, Verdict
from services.review import upkeep, weekly

GRAVE = Reason("violence", "says why", 0.8, 0.7, Verdict.REVIEW)
LIGHT = Reason("illegal", "says why", 0.6, 0.5, Verdict.REVIEW)
RULE = Reason("political", "says why", 1.0, 0.0, Verdict.REVIEW, rule="a-rule")


async def settle(
    db: Database, resolution: str, *, kind: Kind = "content", sealed: bool = False, of: Decision | None = None
) -> Decision:
    reasons = (GRAVE, LIGHT, RULE)
    decision = of or Decision(
        uuid4(), uuid4(), "acme", "user-1", "create", Verdict.REVIEW, reasons, (), "ab" * 32, (), {}
    )
    item = NewReviewItem(uuid4(), "prompt", Verdict.REVIEW, reasons, held=True, sealed=sealed, kind=kind)
    async with db.transaction() as conn:
        if of is None:
            await decisions.record(conn, decision, [item])
        else:
            await review_items.open_items(conn, decision.decision_id, decision.tenant, decision.account, [item])
        await conn.execute(
            "UPDATE review_items SET state = 'decided', resolution = %s, due_at = now(), decided_at = now(),"
            " settled_at = now() WHERE item_id = %s",
            [resolution, item.item_id],
        )
    return decision


async def labelled(db: Database) -> list[tuple[str, bool, bool]]:
    async with db.transaction() as conn:
        return [(row.category, row.upheld, row.appeal) for row in await lessons.labels(conn, timedelta(days=1))]


async def test_an_uphold_speaks_of_the_gravest_reason_alone(governed: Database) -> None:
    await settle(governed, "uphold")

    assert await labelled(governed) == [("violence", True, False)]


async def test_a_release_speaks_of_every_threshold_and_of_no_rule(governed: Database) -> None:
    await settle(governed, "release")

    assert await labelled(governed) == [("violence", False, False), ("illegal", False, False)]


async def test_an_appeal_wins_over_the_case_before_it(governed: Database) -> None:
    decision = await settle(governed, "uphold")
    await settle(governed, "release", kind="appeal", of=decision)

    assert await labelled(governed) == [("violence", False, True), ("illegal", False, True)]


async def test_nothing_of_a_request_with_a_sealed_part_is_learned(governed: Database) -> None:
    decision = await settle(governed, "uphold")
    await settle(governed, "uphold", sealed=True, of=decision)

    assert await labelled(governed) == []


async def test_labels_need_the_policys_consent(
    governed: Database, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PORTCULLIS_DSN", database)

    result = await asyncio.to_thread(CliRunner().invoke, app, ["labels"])

    assert result.exit_code == 1
    assert "learning: true" in str(result.exception)


async def test_the_report_names_what_was_decided(
    governed: Database, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PORTCULLIS_DSN", database)
    await settle(governed, "uphold")

    result = await asyncio.to_thread(CliRunner().invoke, app, ["report", "--json"])

    assert result.exit_code == 0
    assert "violence" in result.output


async def test_each_week_has_one_report(governed: Database) -> None:
    await settle(governed, "uphold")
    next_week = datetime.now(UTC) + timedelta(days=7)

    async with governed.transaction() as conn:
        kept = [await weekly.keep(conn, next_week) for _ in range(2)]
        (row,) = await weekly.get(conn, weekly.monday_of(datetime.now(UTC).date()))

    assert kept == [True, False]
    assert (row.category, row.decided) == ("violence", 1)


async def test_the_figures_say_how_far_scores_are_from_what_people_settled(governed: Database) -> None:
    for resolution in ("uphold", "uphold", "uphold", "release"):
        await settle(governed, resolution)

    await upkeep.show_calibration(governed)

    of = {"stage": "prompt", "category": "violence"}
    assert REGISTRY.get_sample_value("portcullis_reviewed_scores", of) == 4
    assert REGISTRY.get_sample_value("portcullis_reviewed_score_mean", of) == pytest.approx(0.8)
    assert REGISTRY.get_sample_value("portcullis_reviewed_upheld_ratio", of) == 0.75
    assert REGISTRY.get_sample_value("portcullis_calibration_error", of) == pytest.approx(0.05)
