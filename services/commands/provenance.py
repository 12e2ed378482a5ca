"""`portcullis provenance`: the certificates that sign manifests, made, shown and rotated."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from cryptography import x509
from rich.console import Console
from rich.table import Table

from services.commands.plain import told_plainly
from services.core.config import HouseSettings
from services.core.errors import AlreadyExists, InvalidInput
from services.core.secret_files import write_secret
from services.provenance import authority
from services.provenance.authority import AUTHORITIES, CHAIN, ORGANISATION, Algorithm, Authority

app = typer.Typer(help="What the house says of its pictures, and how that is signed.", no_args_is_help=True)
ca = typer.Typer(help="The certificates that sign manifests.", no_args_is_help=True)
key = typer.Typer(help="The key of the invisible mark.", no_args_is_help=True)
app.add_typer(ca, name="ca")
app.add_typer(key, name="key")
out = Console(highlight=False)

Folder = Annotated[
    Path | None,
    typer.Option(help="Where ca.pem, chain.pem and key.pem lie; keys/c2pa in the data home.", file_okay=False),
]


@app.callback()
def provenance() -> None:
    """What the house says of its pictures, and how that is signed."""


@ca.command()
def init(
    folder: Folder = None,
    organisation: Annotated[str, typer.Option(help="Who signs: what viewers show people.")] = ORGANISATION,
    algorithm: Annotated[Algorithm, typer.Option(help="Of the CA and the leaf.")] = "es256",
    ca_key: Annotated[
        Path | None,
        typer.Option(
            help="Also keep the CA's key, in this new file: only then can `rotate` issue under the same CA. Take it "
            "off this machine.",
            dir_okay=False,
        ),
    ] = None,
) -> None:
    """Make a chain that C2PA readers take: a CA for ten years and a signing certificate for 397 days.

    `portcullis up` does this on its first start; use this for an organisation, an algorithm or a place of your own.

    \b
    What readers insist on, and what most home-made chains lack:
    · X.509 v3; P-256 or Ed25519; signed by a CA: a self-signed leaf is refused
    · the leaf: CA false, key usage digitalSignature alone, critical
    · extended key usage c2pa-kp-claimSigning (1.3.6.1.4.1.62558.2.1) and emailProtection, never "any"
    · subject and authority key identifiers, an organisation name
    · chain.pem holds the leaf first, then its CA

    Nobody beyond this house trusts it: for that, get a certificate from a CA of the C2PA trust list and put chain.pem
    and key.pem in its place, and its CA into ca.pem. Nothing that exists is overwritten.

    Example: portcullis provenance ca init --organisation "Example Ltd"
    """
    place, now = _place(folder), datetime.now(UTC)
    with told_plainly():
        if ca_key and ca_key.exists():
            raise AlreadyExists(f"{ca_key} exists: name a new file")
        fresh = authority.make_authority(_named(organisation), algorithm, now)
        authority.init(place, fresh, algorithm, now)
        if ca_key:
            write_secret(ca_key, fresh.key_pem)
    out.print(f"[bold green]made[/] ca.pem, chain.pem and key.pem in {place}, readable by you alone", soft_wrap=True)
    _show(place)


@ca.command()
def rotate(
    folder: Folder = None,
    ca_key: Annotated[
        Path | None,
        typer.Option(help="The CA's key that `init --ca-key` kept: a new leaf under it. Else a new CA.", exists=True),
    ] = None,
) -> None:
    """Replace the signing certificate and its key. What was signed before stays trusted; no restart is needed.

    The new CA joins those in ca.pem, and a running provenance takes all within five seconds. Give ca.pem to whoever
    verifies your manifests. After a key was stolen also remove its CA from ca.pem, and with it all that it signed.

    Example: portcullis provenance ca rotate
    """
    place, now = _place(folder), datetime.now(UTC)
    with told_plainly():
        leaf = authority.certificates(place, CHAIN)[0]
        algorithm = authority.algorithm_of(leaf)
        authority.rotate(place, _issuer(place, leaf, algorithm, ca_key, now), algorithm, now)
    out.print(f"[bold green]rotated[/] the chain in {place}", soft_wrap=True)
    _show(place)


@ca.command()
def show(folder: Folder = None) -> None:
    """Show who signs and whom the house trusts, each until when.

    Example: portcullis provenance ca show
    """
    with told_plainly():
        _show(_place(folder))


def _place(folder: Path | None) -> Path:
    return folder or HouseSettings().home / "keys" / "c2pa"


def _named(organisation: str) -> str:
    if not 1 <= len(organisation.strip()) <= 64:
        raise InvalidInput("organisation", "must have 1 to 64 characters")
    return organisation.strip()


def _issuer(place: Path, leaf: x509.Certificate, algorithm: Algorithm, ca_key: Path | None, now: datetime) -> Authority:
    if ca_key:
        return authority.load_authority(place, ca_key.read_bytes())
    return authority.make_authority(authority.organisation_of(leaf), algorithm, now)


def _show(place: Path) -> None:
    now = datetime.now(UTC)
    table = Table(box=None, pad_edge=False)
    for column in ("what", "organisation", "algorithm", "until", "days left"):
        table.add_column(column, justify="right" if column == "days left" else "left")
    trusted = authority.certificates(place, AUTHORITIES)
    rows = [("signs", authority.certificates(place, CHAIN)[0]), *(("trusted CA", one) for one in trusted)]
    for what, certificate in rows:
        until = certificate.not_valid_after_utc
        algorithm, organisation = authority.algorithm_of(certificate), authority.organisation_of(certificate)
        table.add_row(what, organisation, algorithm, f"{until:%Y-%m-%d}", str((until - now).days))
    out.print(table)


@key.command("rotate")
def rotate_key() -> None:
    """Begin a new epoch of the invisible mark: new pictures carry a new key, old ones are still read.

    The old key stays in the data home as watermark-DATE.key. Each epoch costs about a tenth more time for looking for
    a mark, so rotate once a year, or when a key may be known to others; delete an old key only when no picture of its
    epoch matters any more. Start provenance again afterwards.
    """
    with told_plainly():
        earlier = authority.rotate_watermark_key(HouseSettings().home / "keys", datetime.now(UTC))
    out.print(f"[bold green]made[/] a new watermark.key; the old one is {earlier.name}", soft_wrap=True)
