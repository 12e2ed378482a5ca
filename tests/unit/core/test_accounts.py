from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from services.core.store.accounts import Account, Standing

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("standing", "until", "suspended"),
    [
        ("good", None, False),
        ("suspended", None, True),
        ("suspended", NOW + timedelta(seconds=1), True),
        ("suspended", NOW, False),
    ],
)
def test_a_suspension_holds_until_its_end(standing: Standing, until: datetime | None, suspended: bool) -> None:
    assert Account("acme", "user-1", "new", standing, until).suspended(NOW) is suspended
