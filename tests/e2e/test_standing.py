"""What an account's standing means at the front door of a whole house."""

from __future__ import annotations

import subprocess
import sys

import pytest

from demo.inputs import ALLOWED, BLOCKED
from demo.running import RunningHouse
from portcullis import Client, PortcullisError
from portcullis.v1 import gateway_pb2


def accounts(house: RunningHouse, *arguments: str) -> str:
    command = [sys.executable, "-c", "from services.commands.accounts import app; app()", *arguments]
    return subprocess.run(command, env=house.environment, check=True, capture_output=True, text=True).stdout


def test_a_refusal_is_a_strike(client: Client, house: RunningHouse) -> None:
    list(client.create_images(BLOCKED, account="struck"))

    assert "violence" in accounts(house, "strikes", "demo", "struck")


def test_a_suspended_account_is_kept_out_until_it_is_restored(client: Client, house: RunningHouse) -> None:
    accounts(house, "suspend", "demo", "shut-out", "--why", "a test")
    with pytest.raises(PortcullisError) as caught:
        client.check_prompt(ALLOWED, account="shut-out")

    accounts(house, "restore", "demo", "shut-out", "--why", "a test")

    assert caught.value.reason == "ACCOUNT_SUSPENDED"
    assert client.check_prompt(ALLOWED, account="shut-out").decision_id


def test_everything_that_is_made_for_an_account_on_hold_waits_for_a_person(client: Client, house: RunningHouse) -> None:
    accounts(house, "hold", "demo", "on-hold", "--why", "a test")

    events = list(client.create_images(ALLOWED, account="on-hold", count=2, seed=3))

    held = [event for event in events if isinstance(event, gateway_pb2.Held)]
    assert [reason.rule for event in held for reason in event.reasons] == ["account-held"] * 2
    assert all(event.review_item_id for event in held)
    assert not any(isinstance(event, gateway_pb2.Image) for event in events)
