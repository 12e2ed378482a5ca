"""The development certificate authority for manifests, and the watermark key: made once, on the first start.

The recipe is that of the C2PA specification 2.x, § 14.5.1: X.509 v3, P-256 or Ed25519; the leaf no CA,
`digitalSignature` alone, an extended key usage for claim signing, subject and authority key identifiers, an
organisation name.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from services.core.errors import ConfigurationError, FailedPrecondition
from services.core.secret_files import replace_secret, write_secret

Algorithm = Literal["es256", "ed25519"]
PrivateKey = EllipticCurvePrivateKey | Ed25519PrivateKey

WATERMARK_KEY_BYTES = 32
ORGANISATION = "Portcullis development"
AUTHORITIES, CHAIN, KEY = _FILES = ("ca.pem", "chain.pem", "key.pem")
# c2pa-kp-claimSigning; emailProtection beside it is what readers without our trust configuration accept.
_CLAIM_SIGNING = ObjectIdentifier("1.3.6.1.4.1.62558.2.1")
_AUTHORITY_LIFE = timedelta(days=3650)
_SIGNER_LIFE = timedelta(days=397)
_RENEWAL = timedelta(days=30)
_BACKDATE = timedelta(minutes=5)
_USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)
_MAKE_KEY: dict[Algorithm, Callable[[], PrivateKey]] = {
    "es256": lambda: generate_private_key(SECP256R1()),
    "ed25519": Ed25519PrivateKey.generate,
}


@dataclass(frozen=True, slots=True)
class Authority:
    """A CA that can issue: its certificate and its key."""

    certificate: x509.Certificate
    key: PrivateKey

    @property
    def pem(self) -> bytes:
        """The certificate as PEM."""
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        """The private key as PEM, PKCS #8, not encrypted."""
        return _key_pem(self.key)


def create_authority(folder: Path) -> None:
    """Make ca.pem, chain.pem and key.pem in `folder`, mode 0600; keep them where all exist.

    A chain that was made here is rotated in its last month; one of another organisation is its owner's to rotate.
    Raises ConfigurationError where only some exist: a chain without its key must not be papered over. The CA's own key
    is never written: it signs one leaf and is forgotten, so nobody can make another.
    """
    present, now = _present(folder), datetime.now(UTC)
    if len(present) == len(_FILES):
        leaf = certificates(folder, CHAIN)[0]
        if organisation_of(leaf) == ORGANISATION and leaf.not_valid_after_utc < now + _RENEWAL:
            algorithm = algorithm_of(leaf)
            rotate(folder, make_authority(ORGANISATION, algorithm, now), algorithm, now)
        return
    if present:
        raise ConfigurationError(
            f"{folder} holds only {', '.join(present)}: restore the rest, or remove it to start anew"
        )
    init(folder, make_authority(ORGANISATION, "es256", now), "es256", now)


def init(folder: Path, authority: Authority, algorithm: Algorithm, now: datetime) -> None:
    """Write a first chain under `authority`; FailedPrecondition where there is a file of one already."""
    if present := _present(folder):
        raise FailedPrecondition(
            f"{folder} holds {', '.join(present)}: to replace a chain in use, rotate it", reason="CHAIN_EXISTS"
        )
    chain, key = issue(authority, algorithm, now)
    for name, content in zip(_FILES, (authority.pem, chain, key), strict=True):
        write_secret(folder / name, content)


def rotate(folder: Path, authority: Authority, algorithm: Algorithm, now: datetime) -> None:
    """Put a new chain under `authority` in the place of the old; the authorities trusted so far stay trusted.

    In this order a running service is never without: it trusts the CA first, and takes a key only with its chain.
    """
    if authority.certificate not in certificates(folder, AUTHORITIES):
        replace_secret(folder / AUTHORITIES, authority.pem + (folder / AUTHORITIES).read_bytes())
    chain, key = issue(authority, algorithm, now)
    replace_secret(folder / KEY, key)
    replace_secret(folder / CHAIN, chain)


def create_watermark_key(path: Path) -> None:
    """Write 32 random bytes, mode 0600; keep what exists."""
    if not path.exists():
        write_secret(path, secrets.token_bytes(WATERMARK_KEY_BYTES))


def rotate_watermark_key(folder: Path, now: datetime) -> Path:
    """Begin a new epoch: watermark.key is replaced, and kept beside it under its date to read marks by; returns that.

    Raises ConfigurationError where there is no key yet.
    """
    current, earlier = folder / "watermark.key", folder / f"watermark-{now:%Y%m%dT%H%M%S}.key"
    try:
        # The old key has its second name before the first is given away: it is never without one.
        earlier.hardlink_to(current)
    except FileNotFoundError as error:
        raise ConfigurationError(f"no watermark key in {folder}: start `portcullis up` once to make one") from error
    replace_secret(current, secrets.token_bytes(WATERMARK_KEY_BYTES))
    return earlier


def make_chain(organisation: str, now: datetime, algorithm: Algorithm = "es256") -> tuple[bytes, bytes, bytes]:
    """A fresh CA, the chain (leaf, CA) and the leaf's private key as PEM; valid from five minutes before `now`."""
    authority = make_authority(organisation, algorithm, now)
    return authority.pem, *issue(authority, algorithm, now)


def make_authority(organisation: str, algorithm: Algorithm, now: datetime) -> Authority:
    """A fresh CA for ten years, which may issue leaves and nothing below them."""
    key = _MAKE_KEY[algorithm]()
    issuer = _name(organisation, "Portcullis development CA")
    builder = (
        _certificate(issuer, issuer, key, now, now + _AUTHORITY_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage("key_cert_sign", "crl_sign"), critical=True)
    )
    return Authority(_sign(builder, key), key)


def load_authority(folder: Path, key: bytes) -> Authority:
    """The CA in ca.pem that `key` (PEM) belongs to; ConfigurationError where there is none."""
    try:
        private = load_pem_private_key(key, password=None)
    except (ValueError, TypeError):
        raise ConfigurationError("the CA's key is no private key in PEM without a passphrase") from None
    if not isinstance(private, PrivateKey):
        raise ConfigurationError("the CA's key must be P-256 or Ed25519")
    for certificate in certificates(folder, AUTHORITIES):
        if certificate.public_key() == private.public_key():
            return Authority(certificate, private)
    raise ConfigurationError("none of the trusted CAs belongs to this key")


def issue(authority: Authority, algorithm: Algorithm, now: datetime) -> tuple[bytes, bytes]:
    """A leaf for 397 days (never beyond its CA's end): the chain (leaf, CA) and its private key as PEM."""
    key, issuer = _MAKE_KEY[algorithm](), authority.certificate
    end = min(now + _SIGNER_LIFE, issuer.not_valid_after_utc)
    builder = (
        _certificate(_name(organisation_of(issuer), "Portcullis image signer"), issuer.subject, key, now, end)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage("digital_signature"), critical=True)
        .add_extension(x509.ExtendedKeyUsage([_CLAIM_SIGNING, ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()), critical=False)
    )
    return _sign(builder, authority.key).public_bytes(Encoding.PEM) + authority.pem, _key_pem(key)


def certificates(folder: Path, name: str) -> list[x509.Certificate]:
    """Those in ca.pem or chain.pem; of the latter the first signs. ConfigurationError where there are none to read."""
    try:
        return x509.load_pem_x509_certificates((folder / name).read_bytes())
    except OSError:
        message = f"no {name} in {folder}: `portcullis up` or `portcullis provenance ca init` makes one"
        raise ConfigurationError(message) from None
    except ValueError:
        raise ConfigurationError(f"{folder / name} is no PEM of certificates") from None


def organisation_of(certificate: x509.Certificate) -> str:
    """Whose it is, as viewers show it; empty where it does not say."""
    names = certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    return str(names[0].value) if names else ""


def algorithm_of(certificate: x509.Certificate) -> Algorithm:
    """What its key signs with; only P-256 and Ed25519 are in use here."""
    return "ed25519" if isinstance(certificate.public_key(), Ed25519PublicKey) else "es256"


def _present(folder: Path) -> list[str]:
    return [name for name in _FILES if (folder / name).exists()]


def _name(organisation: str, common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def _certificate(
    subject: x509.Name, issuer: x509.Name, key: PrivateKey, now: datetime, end: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATE)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _sign(builder: x509.CertificateBuilder, key: PrivateKey) -> x509.Certificate:
    return builder.sign(key, None if isinstance(key, Ed25519PrivateKey) else SHA256())


def _usage(*allowed: str) -> x509.KeyUsage:
    return x509.KeyUsage(**{usage: usage in allowed for usage in _USAGES})


def _key_pem(key: PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
