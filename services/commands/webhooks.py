"""`portcullis webhooks`: where platforms are told of what happens to them, and what became of each delivery."""

from __future__ import annotations

import asyncio
import getpass
import time
from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID, uuid4

import typer
from rich.console import Console
from rich.markup import escape

from services.commands.plain import told_plainly
from services.core.config import HouseSettings
from services.core.errors import InvalidInput
from services.core.secret_box import SecretBox
from services.core.store import audit, webhooks
from services.core.store.database import Connection, single_transaction
from services.core.store.webhooks import Delivery, DeliveryState, Endpoint
from services.review.addresses import Rules, parse, resolve
from services.review.settings import ReviewSettings
from services.review.webhooks import FOR_PLATFORMS, check_types, new_secret, queue_test, show

TEST_SECONDS = 20.0
POLL_SECONDS = 0.2
LONGEST_LIST = 200

app = typer.Typer(
    help="Tell platforms what happens to them, by signed webhooks; every change is recorded in the audit trail.",
    no_args_is_help=True,
)
out = Console(highlight=False, soft_wrap=True)

Id = Annotated[str, typer.Argument(help="The endpoint's id, as `list` shows it.", metavar="ENDPOINT")]
Tenant = Annotated[str, typer.Option(help="Only this platform's; empty for all.")]


@app.command()
def add(
    tenant: Annotated[str, typer.Argument(help="The platform.")],
    url: Annotated[str, typer.Argument(help="https, port 443 unless others are set, and a public address.")],
    event: Annotated[
        list[str] | None, typer.Option(help=f"Only events that begin so: {', '.join(FOR_PLATFORMS)}. More than once.")
    ] = None,
) -> None:
    """Add an endpoint and show its secret, once: give it to the platform over a safe way.

    Example: portcullis webhooks add demo https://hooks.example.com/portcullis --event item.settled
    """
    with told_plainly():
        types = check_types(event or [])
        endpoint_id, secret = asyncio.run(_add(tenant, url, types))
    out.print(f"[bold green]added[/] {endpoint_id}: {escape(', '.join(types))}")
    _show_secret(secret)
    out.print(f"Try it with: portcullis webhooks test {endpoint_id}", style="dim")


@app.command("list")
def list_endpoints(tenant: Tenant = "") -> None:
    """List endpoints: whether each takes what is sent, and since when not.

    Example: portcullis webhooks list --tenant demo
    """
    with told_plainly():
        found = asyncio.run(_endpoints(tenant))
    for endpoint in found:
        line = f"{endpoint.endpoint_id}  {endpoint.tenant:<12} {_health(endpoint):<30} {endpoint.url}"
        out.print(f"{escape(line)}  [dim]{escape(', '.join(endpoint.types))}[/]")
    if not found:
        out.print("there are none; portcullis webhooks add --help")


@app.command()
def remove(endpoint: Id) -> None:
    """Remove an endpoint and all its deliveries, parked ones too.

    Example: portcullis webhooks remove 3f0c…
    """
    with told_plainly():
        gone = asyncio.run(_remove(_uuid(endpoint)))
    out.print(f"[bold]removed[/] {escape(gone.url)} of {escape(gone.tenant)}")


@app.command()
def rotate(
    endpoint: Id,
    hours: Annotated[float, typer.Option(min=0, max=720, help="How long the old secret signs too.")] = 24,
) -> None:
    """Give an endpoint a new secret, shown once; deliveries carry both signatures while the old one still signs.

    Example: portcullis webhooks rotate 3f0c… --hours 48
    """
    with told_plainly():
        secret = asyncio.run(_rotate(_uuid(endpoint), hours))
    out.print(f"[bold]rotated[/] {escape(endpoint)}; the old secret signs for {hours:g} hours more")
    _show_secret(secret)


@app.command()
def test(endpoint: Id) -> None:
    """Send a test event (webhook.test) the way of all others, and say what became of it.

    Example: portcullis webhooks test 3f0c…
    """
    with told_plainly():
        delivery = asyncio.run(_test(_uuid(endpoint)))
    if delivery.state == "delivered":
        out.print(f"[bold green]delivered[/] {escape(delivery.status)}")
        return
    why = delivery.status or "not tried yet: does the notifier run, and does it still rest after a failure?"
    out.print(f"[bold red]not delivered[/] {escape(why)}; it is tried on, see `portcullis webhooks deliveries`")
    raise typer.Exit(1)


@app.command()
def deliveries(
    tenant: Tenant = "",
    parked: Annotated[bool, typer.Option("--parked", help="Only those that were given up.")] = False,
    pending: Annotated[bool, typer.Option("--pending", help="Only those that wait.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=LONGEST_LIST, help="How many, latest first.")] = 50,
) -> None:
    """List deliveries: how often each was tried, and what the receiver said last.

    Example: portcullis webhooks deliveries --parked
    """
    state: DeliveryState | None = "parked" if parked else "pending" if pending else None
    with told_plainly():
        found = asyncio.run(_deliveries(tenant, state, limit))
    for delivery in found:
        what = f"{delivery.type} {delivery.event_id or ''}"
        line = f"{delivery.delivery_id}  {delivery.state:<9} {delivery.attempt:>2} tries  {what:<28} {delivery.status}"
        out.print(f"{escape(line)}  [dim]{delivery.endpoint_id} {escape(delivery.tenant)}[/]")
    if not found:
        out.print("there are none")


@app.command()
def resend(
    delivery: Annotated[str, typer.Argument(help="A delivery's id; empty with --endpoint.")] = "",
    endpoint: Annotated[str, typer.Option(help="All that is parked for this endpoint.")] = "",
) -> None:
    """Send a delivery, or all parked ones of an endpoint, once more: same content, same webhook-id.

    Example: portcullis webhooks resend --endpoint 3f0c…
    """
    with told_plainly():
        if bool(delivery) == bool(endpoint):
            raise InvalidInput("delivery", "give a delivery's id or --endpoint, one of both")
        count = asyncio.run(_resend(delivery, endpoint))
    out.print(f"[bold]{count}[/] will be sent again")


def _show_secret(secret: bytes) -> None:
    out.print(f"secret, shown only here: [bold]{show(secret)}[/]")


def _health(endpoint: Endpoint) -> str:
    if not endpoint.enabled:
        return "off: it said that it is gone"
    if endpoint.failing_since is not None:
        return f"failing since {endpoint.failing_since:%m-%d %H:%M} UTC"
    return "well"


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise InvalidInput("id", "must be a UUID, as the lists show it") from error


def _box(house: HouseSettings) -> SecretBox:
    return SecretBox(house.home / "keys" / "webhooks.key")


async def _record(conn: Connection, action: str, endpoint: Endpoint | UUID, **detail: object) -> None:
    endpoint_id = endpoint if isinstance(endpoint, UUID) else endpoint.endpoint_id
    await audit.append(conn, getpass.getuser(), f"webhooks.{action}", str(endpoint_id), **detail)


async def _add(tenant: str, text: str, types: list[str]) -> tuple[UUID, bytes]:
    house, settings = HouseSettings(), ReviewSettings()
    rules = Rules.of(settings.webhook_ports, settings.webhook_insecure, settings.webhook_inside)
    url = parse(text, rules)
    await resolve(url, rules)
    endpoint_id, secret = uuid4(), new_secret()
    sealed = _box(house).seal(secret, endpoint_id.bytes)
    async with single_transaction(house.database()) as conn:
        await webhooks.add(conn, endpoint_id, tenant, str(url), types, sealed, getpass.getuser())
        # A path may hold a token: the trail names the host alone.
        await _record(conn, "add", endpoint_id, tenant=tenant, host=url.host, types=types)
    return endpoint_id, secret


async def _endpoints(tenant: str) -> list[Endpoint]:
    async with single_transaction(HouseSettings().database()) as conn:
        return await webhooks.endpoints(conn, tenant or None)


async def _remove(endpoint_id: UUID) -> Endpoint:
    async with single_transaction(HouseSettings().database()) as conn:
        endpoint = await webhooks.get(conn, endpoint_id)
        await webhooks.remove(conn, endpoint_id)
        await _record(conn, "remove", endpoint, tenant=endpoint.tenant)
    return endpoint


async def _rotate(endpoint_id: UUID, hours: float) -> bytes:
    house, secret = HouseSettings(), new_secret()
    sealed = _box(house).seal(secret, endpoint_id.bytes)
    async with single_transaction(house.database()) as conn:
        endpoint = await webhooks.get(conn, endpoint_id)
        await webhooks.rotate(conn, endpoint_id, sealed, hours)
        await _record(conn, "rotate", endpoint, tenant=endpoint.tenant, hours=hours)
    return secret


async def _test(endpoint_id: UUID) -> Delivery:
    dsn = HouseSettings().database()
    async with single_transaction(dsn) as conn:
        endpoint = await webhooks.get(conn, endpoint_id)
        delivery_id = await queue_test(conn, endpoint, datetime.now(tz=UTC))
        await _record(conn, "test", endpoint, tenant=endpoint.tenant)
    end = time.monotonic() + TEST_SECONDS
    while True:
        async with single_transaction(dsn) as conn:
            delivery = await webhooks.delivery(conn, delivery_id)
        if delivery.state != "pending" or delivery.status or time.monotonic() > end:
            return delivery
        await asyncio.sleep(POLL_SECONDS)


async def _deliveries(tenant: str, state: DeliveryState | None, limit: int) -> list[Delivery]:
    async with single_transaction(HouseSettings().database()) as conn:
        return await webhooks.deliveries(conn, tenant=tenant or None, state=state, limit=limit)


async def _resend(delivery: str, endpoint: str) -> int:
    async with single_transaction(HouseSettings().database()) as conn:
        if endpoint:
            known = await webhooks.get(conn, _uuid(endpoint))
            count = await webhooks.resend(conn, endpoint_id=known.endpoint_id)
        else:
            found = await webhooks.delivery(conn, _uuid(delivery))
            known = await webhooks.get(conn, found.endpoint_id)
            count = await webhooks.resend(conn, delivery_id=found.delivery_id)
        await _record(conn, "resend", known, tenant=known.tenant, delivery=delivery, count=count)
    return count
