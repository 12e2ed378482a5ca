"""`portcullis accounts` on a real Postgres."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from typer.testing import CliRunner

from portcullis.errors import PortcullisError
from services.commands.accounts import app
from services.commands.default_policy import DEFAULT_POLICY
from services.core.policy.standing_rules import StandingRules
from services.core.standing import backtest, conduct
from services.core.store import accounts, audit, decisions, policies, strikes, tenants, waitlist
from services.core.store.accounts import Account
from services.core.store.audit import AuditEvent
from services.core.store.database import Database, single_transaction
from services.core.store.decisions import Decision
from services.core.store.strikes import NewStrike
from services.core.verdicts import Reason, Verdict

RULES = StandingRules(jitter=0.0)


@pytest.fixture
def dsn(database: str, monkeypatch: pytest.MonkeyPatch) -> str:
    async def furnish() -> None:
        async with single_transaction(database) as conn:
            await tenants.create_tenant(conn, "acme")
            await policies.ensure_default(conn, DEFAULT_POLICY.read_text(encoding="utf-8"), "test")

    asyncio.run(furnish())
    monkeypatch.setenv("PORTCULLIS_DSN", database)
    monkeypatch.setenv("COLUMNS", "200")
    return database


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


async def read(dsn: str, account: str) -> tuple[Account, list[AuditEvent]]:
    async with single_transaction(dsn) as conn:
        return await accounts.get_or_create(conn, "acme", account), await audit.latest(conn, 10)


def test_each_step_is_imposed_and_ended_with_who_and_why_on_record(dsn: str) -> None:
    found = []
    for step in ("warn", "cool", "hold", "suspend", "ban", "restore"):
        run(step, "acme", "user-1", "--why", f"because of {step}")
        known, (event, *_) = asyncio.run(read(dsn, "user-1"))
        found.append((known.standing, event.action, event.detail["note"]))

    assert found == [
        ("warned", "account.warned", "because of warn"),
        ("cooling", "account.cooling", "because of cool"),
        ("held", "account.held", "because of hold"),
        ("suspended", "account.suspended", "because of suspend"),
        ("banned", "account.banned", "because of ban"),
        ("good", "account.restored", "because of restore"),
    ]


def test_an_account_is_shown_with_how_it_came_there(dsn: str) -> None:
    run("suspend", "acme", "user-1", "--days", "2", "--why", "sold [b]fakes[/b]")

    shown = run("show", "acme", "user-1")

    assert "standing suspended until" in shown
    assert "sold [b]fakes[/b]" in shown


def test_an_account_that_is_not_known_is_said_so(dsn: str) -> None:
    with pytest.raises(PortcullisError, match="has no account nobody"):
        run("strikes", "acme", "nobody")


def test_sealed_strikes_are_not_listed(dsn: str) -> None:
    async def give() -> None:
        async with single_transaction(dsn) as conn:
            for category, sealed in (("violence", False), ("sexual.minors", True)):
                new = NewStrike(uuid4(), "blocked", category, "prompt", 1.0, sealed)
                await conduct.strike(conn, "acme", "user-1", new, RULES, datetime.now(UTC))

    asyncio.run(give())

    listed = run("strikes", "acme", "user-1")

    assert "violence" in listed
    assert "minors" not in listed


def test_who_has_waited_longest_is_invited_first(dsn: str) -> None:
    async def join() -> None:
        for name in ("first", "second", "third"):
            async with single_transaction(dsn) as conn:
                await accounts.get_or_create(conn, "acme", name)
                await waitlist.join(conn, "acme", name)

    asyncio.run(join())

    invited = run("invite", "acme", "--count", "2")

    waiting = run("waitlist", "acme")
    assert "first of acme is now of tier trusted" in invited
    assert "second of acme is now of tier trusted" in invited
    assert "third" in waiting
    assert "first" not in waiting


def test_another_tier_is_told_with_who_gave_it_and_why(dsn: str) -> None:
    async def told() -> list[tuple[str, object]]:
        async with single_transaction(dsn) as conn:
            cursor = await conn.execute("SELECT type, data FROM events WHERE subject = 'user-1'")
            return await cursor.fetchall()

    run("tier", "acme", "user-1", "trusted", "--why", "a partner")

    (event, *_) = asyncio.run(read(dsn, "user-1"))[1]
    assert (event.action, event.detail) == ("account.tier", {"before": "new", "after": "trusted", "why": "a partner"})
    assert asyncio.run(told()) == [("account.tier", {"before": "new", "tier": "trusted"})]


def test_trusted_accounts_are_invited_to_the_next_tier(dsn: str) -> None:
    run("tier", "acme", "user-1", "trusted")

    assert "now of tier invited" in run("invite", "acme", "user-1")


def test_nobody_in_bad_standing_is_invited(dsn: str) -> None:
    run("warn", "acme", "user-1", "--why", "a test")

    with pytest.raises(PortcullisError, match="not in good standing"):
        run("invite", "acme", "user-1")


def refusal(account: str, category: str, *, at_output: bool = False) -> Decision:
    reason = Reason(category, "says why", 0.9, 0.8, Verdict.BLOCK)
    digests = {"output0": "ab" * 32} if at_output else {}
    return Decision(uuid4(), uuid4(), "acme", account, "create", Verdict.BLOCK, (reason,), (), "p", (), digests)


async def test_the_histogram_reckons_from_refusals_as_if_strikes_had_been_on(governed: Database) -> None:
    now = datetime.now(UTC)
    async with governed.transaction() as conn:
        for account, count in (("calm", 0), ("once", 1), ("often", 6), ("tester", 9), ("unlucky", 9)):
            await accounts.get_or_create(conn, "acme", account)
            for _ in range(count):
                await decisions.record(conn, refusal(account, "hate", at_output=account == "unlucky"), [])
        await accounts.set_tier(conn, "acme", "tester", "red_team")

    async with governed.transaction() as conn:
        counted = await backtest.histogram(conn, RULES, now - timedelta(days=1), now + timedelta(seconds=9), None)

    assert counted.all == 4
    assert {edge: count for edge, count in counted.weights.items() if count} == {0.0: 2, 0.5: 1, 5.0: 1}
    assert {step: count for step, count in counted.ever.items() if count} == {"warned": 1, "cooling": 1}


async def test_what_was_taken_back_is_not_reckoned(governed: Database) -> None:
    now = datetime.now(UTC)
    refused = refusal("often", "hate")
    async with governed.transaction() as conn:
        new = NewStrike(refused.decision_id, "blocked", "hate", "prompt", 1.0, sealed=False)
        await decisions.record(conn, refused, [])
        await conduct.strike(conn, "acme", "often", new, RULES, now)
        await strikes.reverse(conn, "acme", refused.decision_id, who="analyst/ann", why="", appeal=None, now=now)

    async with governed.transaction() as conn:
        counted = await backtest.histogram(conn, RULES, now - timedelta(days=1), now + timedelta(seconds=9), "acme")

    assert {edge: count for edge, count in counted.weights.items() if count} == {0.0: 1}


def test_the_histogram_says_what_each_step_would_meet(dsn: str) -> None:
    async def refuse() -> None:
        async with single_transaction(dsn) as conn:
            await accounts.get_or_create(conn, "acme", "often")
            for _ in range(10):
                await decisions.record(conn, refusal("often", "hate"), [])

    asyncio.run(refuse())

    shown = run("histogram", "acme")

    warned = next(line for line in shown.splitlines() if "warned" in line)
    assert [cell.strip() for cell in warned.split("│")[1:-1]] == ["warned", "enforce", "8", "1", "1", "100.000%"]
