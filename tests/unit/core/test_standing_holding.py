"""What holds for an account: of the steps that strikes lead to and what was imposed, the hardest."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from services.core.policy.standing_rules import Held, Ladder, StandingRules
from services.core.standing.holding import hardest, imposed, outweighed, pardoned, settled
from services.core.standing.ladder import Sanction, Standing
from services.core.store.accounts import Account

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
SOON, LATER = NOW + timedelta(hours=1), NOW + timedelta(days=1)
RULES = StandingRules(ladder=Ladder(held=Held(mode="shadow")))
GOOD = Account("acme", "user-1", "new", "good", None)


def test_nothing_leads_to_good_standing() -> None:
    assert hardest(GOOD, [], RULES, NOW) == Sanction("good", NOW, None)


def test_what_was_imposed_holds_beside_milder_strikes() -> None:
    known = imposed(GOOD, "suspended", LATER, "person")

    assert hardest(known, [Sanction("warned", NOW, LATER)], RULES, NOW).step == "suspended"


def test_a_step_in_shadow_does_not_hold() -> None:
    found = [Sanction("held", NOW, LATER), Sanction("warned", NOW, LATER)]

    assert hardest(GOOD, found, RULES, NOW).step == "warned"


def test_what_was_imposed_ends_with_its_time() -> None:
    assert hardest(imposed(GOOD, "held", NOW, "person"), [], RULES, NOW).step == "good"


def test_what_has_ended_is_forgotten() -> None:
    known = imposed(GOOD, "held", NOW, "person")

    assert settled(known, Sanction("good", NOW, None), NOW).imposed is None


def test_a_standing_that_goes_on_keeps_its_beginning() -> None:
    since = NOW - timedelta(days=3)
    known = Account("acme", "user-1", "new", "warned", SOON, standing_since=since)

    assert settled(known, Sanction("warned", since, LATER), NOW).standing_since == since


def test_a_pardon_takes_back_what_was_imposed() -> None:
    known = pardoned(imposed(GOOD, "banned", None, "person"), NOW)

    assert (hardest(known, [], RULES, NOW).step, known.pardoned_at) == ("good", NOW)


@pytest.mark.parametrize(
    ("step", "until", "less"),
    [
        ("cooling", None, True),
        ("held", SOON, True),
        ("held", LATER, True),
        ("held", None, False),
        ("banned", SOON, False),
    ],
)
def test_what_is_milder_or_ends_sooner_is_outweighed(step: Standing, until: datetime | None, less: bool) -> None:
    assert outweighed(imposed(GOOD, "held", LATER, "person"), step, until, NOW) is less
