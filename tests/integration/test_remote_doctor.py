"""What the doctor says of a door by its certificate, over real TLS."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from portcullis import Profile
from services.commands import remote
from services.commands.findings import Finding, Level
from services.core.rpc import tls

NOW = datetime.now(UTC)
DAY = timedelta(days=1)
Issue = Callable[[str, datetime, datetime], bytes]


@pytest.fixture
def issue(tmp_path: Path) -> Issue:
    """Has the CA of a house sign a certificate for a name and a time."""
    tls.create_ca(tmp_path)
    tls.issue_certificate(tmp_path, "gateway")
    key = load_pem_private_key((tmp_path / "gateway.key").read_bytes(), None)
    ca = x509.load_pem_x509_certificate((tmp_path / "ca.pem").read_bytes())
    ca_key = load_pem_private_key((tmp_path / "ca.key").read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert isinstance(ca_key, ec.EllipticCurvePrivateKey)

    def make(name: str, begin: datetime, end: datetime) -> bytes:
        certificate = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(ca.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begin)
            .not_valid_after(end)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=True)
            .sign(ca_key, hashes.SHA256())
        )
        return certificate.public_bytes(Encoding.PEM)

    return make


@contextmanager
def door(folder: Path, certificate: bytes) -> Iterator[Profile]:
    """A gRPC server behind a certificate, and how a platform would reach it."""
    server = grpc.server(ThreadPoolExecutor(1))
    credentials = grpc.ssl_server_credentials([((folder / "gateway.key").read_bytes(), certificate)])
    port = server.add_secure_port("127.0.0.1:0", credentials)
    server.start()
    yield Profile(address=f"localhost:{port}", api_key="pk_test", ca=folder / "ca.pem")
    server.stop(0).wait()


def seen(folder: Path, certificate: bytes) -> list[Finding]:
    with door(folder, certificate) as profile:
        return list(remote._door(profile))


@pytest.mark.parametrize(
    ("name", "begin", "end", "told"),
    [
        ("localhost", NOW - 2 * DAY, NOW - DAY, "has expired"),
        ("localhost", NOW + DAY, NOW + 2 * DAY, "is not valid yet"),
        ("gateway.example.com", NOW - DAY, NOW + DAY, "is for another name than localhost"),
    ],
)
def test_a_certificate_that_clients_would_refuse_is_told(
    tmp_path: Path, issue: Issue, name: str, begin: datetime, end: datetime, told: str
) -> None:
    (finding,) = seen(tmp_path, issue(name, begin, end))

    assert (finding.level, finding.subject, finding.message) == (Level.BAD, "certificate", told)
    assert finding.mend


def test_a_certificate_that_is_about_to_expire_is_noted(tmp_path: Path, issue: Issue) -> None:
    until = NOW + 5 * DAY

    certificate, authority = seen(tmp_path, issue("localhost", NOW - DAY, until))

    assert (certificate.level, certificate.subject) == (Level.NOTE, "certificate")
    assert f"{until:%Y-%m-%d}" in certificate.message
    assert (authority.level, authority.subject) == (Level.GOOD, "authority")


def test_a_file_that_holds_no_certificate_is_said_to(tmp_path: Path, issue: Issue) -> None:
    certificate = issue("localhost", NOW - DAY, NOW + DAY)
    (tmp_path / "ca.pem").write_text("nothing")

    with pytest.raises(remote.PortcullisError, match="holds no certificate"):
        seen(tmp_path, certificate)


@pytest.mark.parametrize(("seconds", "level"), [(0, Level.GOOD), (90, Level.BAD), (-90, Level.BAD)])
def test_a_clock_that_is_wrong_is_told_by_how_much(seconds: int, level: Level) -> None:
    recorded = datetime.now(UTC)
    here = recorded + timedelta(seconds=seconds)

    finding = remote._clock(recorded, here - timedelta(seconds=0.5), here + timedelta(seconds=0.5))

    assert finding.level is level
    assert ("90 s" in finding.message) == (seconds != 0)


def test_filters_of_two_policies_are_noted() -> None:
    assert remote._policy({"ab" * 32, "cd" * 32}).level is Level.NOTE


def test_it_needs_no_more_than_the_clients_install() -> None:
    """What rooms bring is made unimportable; `grpc_health` and what the client needs are there."""
    rooms = ("cryptography", "numpy", "PIL", "psycopg", "psycopg_pool", "structlog", "yaml", "prometheus_client", "jwt")
    code = f"import sys; sys.modules.update(dict.fromkeys({rooms})); import services.commands.remote"

    imported = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ)

    assert (imported.returncode, imported.stderr) == (0, "")
