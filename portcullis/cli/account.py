"""`portcullis account`: an end user as the gateway knows them, for platforms."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from portcullis.cli.arguments import Json
from portcullis.cli.output import out, show_json
from portcullis.client import Client
from portcullis.v1.checks_pb2 import Tier
from portcullis.v1.gateway_pb2 import Account, Standing

app = typer.Typer(help="See an end user of your platform, and add what they bought.", no_args_is_help=True)

Who = Annotated[str, typer.Argument(help="The end user, your opaque id.")]


@app.command()
def show(account: Who, as_json: Json = False) -> None:
    """Show tier, standing, credits and what is left of each limit.

    Example: portcullis account show user-1
    """
    with Client() as client:
        _show(client.get_account(account), as_json)


@app.command("credits")
def add_credits(
    account: Who,
    add: Annotated[int, typer.Option(min=1, max=1_000_000, help="Pictures that they bought.")],
    request_id: Annotated[
        str, typer.Option("--request-id", help="A UUID of the purchase: the same one adds only once.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Add pictures that an end user bought; they do not end with the month.

    Example: portcullis account credits user-1 --add 100
    """
    with Client() as client:
        if request_id:
            _show(client.update_account(account=account, add_credits=add, request_id=request_id), as_json)
        else:
            _show(client.update_account(account=account, add_credits=add), as_json)


def _show(account: Account, as_json: bool) -> None:
    if as_json:
        show_json(account)
        return
    tier = Tier.Name(account.tier).removeprefix("TIER_").lower()
    standing = Standing.Name(account.standing).removeprefix("STANDING_").lower()
    until = f" until {account.standing_until.ToDatetime():%Y-%m-%d %H:%M} UTC" if account.standing_until.seconds else ""
    out.print(f"{escape(account.account)}: tier {tier}, standing {standing}{until}")
    if account.notice:
        out.print(f"  {escape(account.notice)}")
    if account.HasField("credits"):
        out.print(f"  credits: {account.credits} pictures")
    table = Table(box=None, padding=(0, 2), show_header=False)
    for quota in account.quotas:
        table.add_row("", escape(quota.name), f"{quota.left} of {quota.limit} left")
    if table.row_count:
        out.print(table, soft_wrap=False)
