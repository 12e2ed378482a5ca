"""An RFC 3161 time-stamping authority for tests: OpenSSL's, behind HTTP on a real socket of this machine."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from services.provenance.authority import make_authority

_CONFIG = """
[tsa]
default_tsa = here
[here]
serial = {folder}/serial
signer_cert = {folder}/tsa.pem
signer_key = {folder}/tsa.key
certs = {folder}/tsa.pem
signer_digest = sha256
default_policy = 1.3.6.1.4.1.99999.1
digests = sha256, sha384, sha512
ess_cert_id_alg = sha256
"""


class TimeStamps:
    """A running authority: `url`, and its root as PEM.

    `up` False answers 503; with `delay` it keeps silent for so many seconds and hangs up; `asked` counts the calls.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = _make_files(folder)
        self.url = ""
        self.up = True
        self.delay = 0.0
        self.asked = 0
        self.lock = Lock()  # OpenSSL counts serial numbers in a file

    def answer(self, query: bytes) -> bytes:
        """The signed answer to a query, both DER."""
        command = ["openssl", "ts", "-reply", "-config", self.folder / "tsa.cnf", "-queryfile", "/dev/stdin"]
        with self.lock:
            return subprocess.run(command, input=query, check=True, capture_output=True).stdout


@contextmanager
def running(folder: Path) -> Iterator[TimeStamps]:
    """A time-stamping authority with its files in `folder`, up until the block ends."""
    authority = TimeStamps(folder)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            authority.asked += 1
            query = self.rfile.read(int(self.headers["Content-Length"]))
            time.sleep(authority.delay)
            if authority.delay:
                return
            if not authority.up:
                self.send_error(503)
                return
            answer = authority.answer(query)
            self.send_response(200)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        server.block_on_close = False
        authority.url = f"http://127.0.0.1:{server.server_port}/"
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield authority
        server.shutdown()


def _make_files(folder: Path) -> bytes:
    """The authority's certificate, key and configuration; returns its root as PEM."""
    start = datetime(2024, 1, 1, tzinfo=UTC)
    root, key = make_authority("Test time", "es256", start), ec.generate_private_key(ec.SECP256R1())
    usage = x509.KeyUsage(True, *8 * [False])  # digitalSignature alone
    organisation = x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Test time")
    leaf = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([organisation, x509.NameAttribute(NameOID.COMMON_NAME, "Test time stamps")]))
        .issuer_name(root.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=3000))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root.key.public_key()), critical=False)
        .sign(root.key, SHA256())
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tsa.pem").write_bytes(leaf.public_bytes(Encoding.PEM))
    (folder / "tsa.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (folder / "tsa.cnf").write_text(_CONFIG.format(folder=folder))
    (folder / "serial").write_text("01\n")
    return root.pem
