"""What a platform asks and says about its end users, by both clients and the command line."""

from __future__ import annotations

from uuid import UUID

import pytest
from typer.testing import CliRunner

from portcullis import AsyncClient, Client, PortcullisError, cli
from portcullis.v1 import gateway_pb2

PURCHASE = "99999999-2222-4333-8444-555555555555"


def run(*arguments: str):
    return CliRunner().invoke(cli.build(arguments), list(arguments))


def test_an_account_is_read(profile, gateway):
    with Client(profile) as client:
        account = client.get_account("user-1")
    assert (account.account, account.credits, gateway.requests[0].account) == ("user-1", 12, "user-1")


def test_an_update_carries_all_that_the_platform_knows(profile, gateway):
    with Client(profile) as client:
        client.update_account(
            account="user-1", add_credits=3, shared_hashes=[b"x" * 16], join_waitlist=True, request_id=PURCHASE
        )
    (sent,) = gateway.requests
    assert (sent.request_id, sent.add_credits, sent.shared_hashes, sent.join_waitlist) == (
        PURCHASE,
        3,
        [b"x" * 16],
        True,
    )


async def test_the_async_client_says_the_same(profile, gateway):
    async with AsyncClient(profile) as client:
        read = await client.get_account("user-1")
        updated = await client.update_account(account="user-1", add_credits=3)
    assert read == updated
    assert UUID(gateway.requests[1].request_id).version == 4


def test_a_passed_limit_is_told_with_its_numbers_and_when_it_passes(profile, gateway, exhausted):
    gateway.failure = exhausted
    with Client(profile) as client, pytest.raises(PortcullisError) as caught:
        client.check_prompt("a harbour", account="user-1")

    assert (caught.value.quotas, caught.value.retry_after) == (("account-calls: 600 calls in 60 s",), 1.5)


@pytest.mark.usefixtures("environment")
def test_the_command_shows_an_account(gateway):
    gateway.account.standing = gateway_pb2.STANDING_GOOD
    gateway.account.quotas.add(name="account-calls", left=599, limit=600)
    result = run("account", "show", "user-1")
    assert result.exit_code == 0
    assert "tier new, standing good" in result.output
    assert "599 of 600 left" in result.output


@pytest.mark.usefixtures("environment")
def test_the_command_adds_credits_once_for_a_purchase(gateway):
    result = run("account", "credits", "user-1", "--add", "100", "--request-id", PURCHASE)
    assert result.exit_code == 0
    assert (gateway.requests[0].add_credits, gateway.requests[0].request_id) == (100, PURCHASE)
