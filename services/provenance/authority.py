"""The development certificate authority for manifests, and the watermark key: made once, on the first start.

The recipe is that of the C2PA specification 2.x, § 14.5.1: X.509 v3, P-256; the leaf no CA, `digitalSignature` alone,
an extended key usage for claim signing, subject and authority key identifiers, an organisation name.
"""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from services.core.errors import ConfigurationError
from services.core.secret_files import write_secret

WATERMARK_KEY_BYTES = 32
_FILES = ("ca.pem", "chain.pem", "key.pem")
_ORGANISATION = "Portcullis development"
# c2pa-kp-claimSigning; emailProtection beside it is what readers without our trust configuration accept.
_CLAIM_SIGNING = ObjectIdentifier("1.3.6.1.4.1.62558.2.1")
_AUTHORITY_LIFE = timedelta(days=3650)
_SIGNER_LIFE = timedelta(days=397)
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


def create_authority(folder: Path) -> None:
    """Make ca.pem, chain.pem and key.pem in `folder`, mode 0600; keep them where all exist.

    Raises ConfigurationError where only some exist: a chain without its key must not be papered over. The CA's own key
    is never written: it signs one leaf and is forgotten, so nobody can make another.
    """
    present = [name for name in _FILES if (folder / name).exists()]
    if len(present) == len(_FILES):
        return
    if present:
        raise ConfigurationError(
            f"{folder} holds only {', '.join(present)}: restore the rest, or remove it to start anew"
        )
    authority, chain, key = make_chain(_ORGANISATION, datetime.now(UTC))
    for name, content in zip(_FILES, (authority, chain, key), strict=True):
        write_secret(folder / name, content)


def create_watermark_key(path: Path) -> None:
    """Write 32 random bytes, mode 0600; keep what exists."""
    if not path.exists():
        write_secret(path, secrets.token_bytes(WATERMARK_KEY_BYTES))


def make_chain(organisation: str, now: datetime) -> tuple[bytes, bytes, bytes]:
    """A fresh CA, the chain (leaf, CA) and the leaf's private key as PEM; valid from five minutes before `now`."""
    authority_key, signer_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    issuer = _name(organisation, "Portcullis development CA")
    authority = (
        _certificate(issuer, issuer, authority_key.public_key(), now, _AUTHORITY_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage("key_cert_sign", "crl_sign"), critical=True)
        .sign(authority_key, SHA256())
    )
    signer = (
        _certificate(_name(organisation, "Portcullis image signer"), issuer, signer_key.public_key(), now, _SIGNER_LIFE)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage("digital_signature"), critical=True)
        .add_extension(x509.ExtendedKeyUsage([_CLAIM_SIGNING, ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False)
        .sign(authority_key, SHA256())
    )
    authority_pem, signer_pem = (certificate.public_bytes(Encoding.PEM) for certificate in (authority, signer))
    key_pem = signer_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return authority_pem, signer_pem + authority_pem, key_pem


def _name(organisation: str, common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def _certificate(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, life: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATE)
        .not_valid_after(now + life)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*allowed: str) -> x509.KeyUsage:
    return x509.KeyUsage(**{usage: usage in allowed for usage in _USAGES})
