from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from services.core.standing.ladder import Standing
from services.core.store import accounts
from services.core.store.accounts import Account
from services.core.store.database import Database

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("standing", "until", "holds"),
    [
        ("good", None, "good"),
        ("suspended", None, "suspended"),
        ("suspended", NOW + timedelta(seconds=1), "suspended"),
        ("suspended", NOW, "good"),
    ],
)
def test_a_standing_holds_until_its_end(standing: Standing, until: datetime | None, holds: Standing) -> None:
    assert Account("acme", "user-1", "new", standing, until).standing_at(NOW) == holds


async def test_an_account_is_fresh_the_first_time_alone(governed: Database) -> None:
    async with governed.transaction() as conn:
        made = [await accounts.get_or_create(conn, "acme", "user-1") for _ in range(2)]

    assert [account.fresh for account in made] == [True, False]
