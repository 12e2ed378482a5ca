"""Identity on the wire: a development CA, one certificate per service or person, and gRPC credentials from them.

An identity is a SPIFFE id (https://spiffe.io) in the certificate's URI name: `spiffe://portcullis/<identity>`.
"""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from services.core.errors import ConfigurationError
from services.core.rpc.identity_files import Identity, IdentityFiles
from services.core.secret_files import write_secret

TRUST_DOMAIN = "spiffe://portcullis/"
CA_LIFETIME = timedelta(days=3650)
LEAF_LIFETIME = timedelta(days=365)


def create_ca(folder: Path) -> None:
    """Makes `ca.pem` and `ca.key` (P-256) in `folder`; keeps what exists."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if (folder / "ca.pem").exists():
        return
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Portcullis development CA")])
    certificate = (
        _builder(name, name, key.public_key(), CA_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "ca.key").unlink(missing_ok=True)  # of a start that ended before its certificate was written
    write_secret(folder / "ca.key", _pem(key))
    (folder / "ca.pem").write_bytes(certificate.public_bytes(Encoding.PEM))


def issue_certificate(folder: Path, identity: str) -> None:
    """Makes `<identity>.pem` and `.key` signed by the CA in `folder` ("/" becomes "-"); renews in the last month."""
    path = certificate_path(folder, identity)
    if path.exists() and _expires(path) > datetime.now(UTC) + timedelta(days=30):
        return
    ca_key = load_pem_private_key((folder / "ca.key").read_bytes(), password=None)
    ca = x509.load_pem_x509_certificate((folder / "ca.pem").read_bytes())
    if not isinstance(ca_key, ec.EllipticCurvePrivateKey):
        raise ConfigurationError(f"{folder / 'ca.key'} is not an EC key")
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, identity)])
    names = [
        x509.UniformResourceIdentifier(TRUST_DOMAIN + identity),
        x509.DNSName("localhost"),
        x509.DNSName(identity.replace("_", "-").replace("/", "-")),
        x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
    ]
    certificate = (
        _builder(subject, ca.subject, key.public_key(), LEAF_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
        )
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    key_path = path.with_suffix(".key")
    key_path.unlink(missing_ok=True)
    write_secret(key_path, _pem(key))
    path.write_bytes(certificate.public_bytes(Encoding.PEM))


def certificate_path(folder: Path, identity: str) -> Path:
    """Where the certificate of `identity` lies; its key beside it ends in .key."""
    return folder / f"{identity.replace('/', '-')}.pem"


def identity_files(folder: Path, identity: str) -> IdentityFiles:
    """The files of `identity` in `folder`; raises ConfigurationError where they are not there or of no use."""
    return IdentityFiles(folder / "ca.pem", certificate_path(folder, identity))


def server_credentials(folder: Path, identity: str, *, require_client: bool) -> grpc.ServerCredentials:
    """TLS for a server; with `require_client` only callers with a certificate of our CA get in.

    Each handshake takes the files as they are then, so that a renewal needs no restart.
    """
    files = identity_files(folder, identity)

    def current() -> grpc.ServerCertificateConfiguration:
        now = files.current()
        roots = now.authorities if require_client else None
        return grpc.ssl_server_certificate_configuration([(now.key, now.certificate)], roots)

    return grpc.dynamic_ssl_server_credentials(current(), current, require_client)


def channel_credentials(folder: Path, identity: str) -> grpc.ChannelCredentials:
    """TLS for a caller that shows the certificate of `identity` as it is now."""
    return caller_credentials(identity_files(folder, identity).current())


def caller_credentials(identity: Identity) -> grpc.ChannelCredentials:
    """TLS for a caller that shows this certificate."""
    return grpc.ssl_channel_credentials(identity.authorities, identity.key, identity.certificate)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, lifetime: timedelta
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + lifetime)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _expires(path: Path) -> datetime:
    return x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc
