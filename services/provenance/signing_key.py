"""Where a manifest's signatures come from: a key in a file or in the environment, or a function for a KMS or an HSM.

ES256 is ECDSA over P-256 with SHA-256 (RFC 7518 § 3.4), Ed25519 is RFC 8032; which, the chain's leaf decides.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path

import structlog
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from services.core import telemetry
from services.core.errors import ConfigurationError, Unavailable
from services.provenance.settings import ProvenanceSettings

Sign = Callable[[bytes], bytes]
PublicKey = EllipticCurvePublicKey | Ed25519PublicKey

_COORDINATE = 32
_RAW = 2 * _COORDINATE

log = structlog.get_logger()


def load_sign(settings: ProvenanceSettings, key_file: Path) -> Sign:
    """What signs, as the settings say: the named function, else the secret of the environment, else the file.

    ConfigurationError where it cannot be had; no message holds any of the key.
    """
    secret = settings.signing_key.get_secret_value()
    if settings.sign_with and secret:
        raise ConfigurationError(
            "PORTCULLIS_PROVENANCE_SIGNING_KEY and …_SIGN_WITH are both set: keep the one that shall sign"
        )
    if settings.sign_with:
        return _function(settings.sign_with)
    if secret:
        return sign_with_key(secret.encode())
    try:
        return sign_with_key(key_file.read_bytes())
    except OSError as error:
        raise ConfigurationError(f"no signing key at {key_file}: start `portcullis up` once to make one") from error


def sign_with_key(pem: bytes) -> Sign:
    """Signs with a private key in PEM (PKCS #8, no passphrase), P-256 or Ed25519."""
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError):
        raise ConfigurationError("the signing key is no private key in PEM without a passphrase") from None
    if isinstance(key, Ed25519PrivateKey):
        return key.sign
    if isinstance(key, EllipticCurvePrivateKey) and isinstance(key.curve, SECP256R1):
        return lambda data: key.sign(data, ECDSA(SHA256()))
    raise ConfigurationError("the signing key must be P-256 or Ed25519")


def leaf_key(chain: bytes) -> PublicKey:
    """The public key of a chain's leaf (PEM, leaf first); ConfigurationError where it is none that may sign."""
    try:
        key = x509.load_pem_x509_certificates(chain)[0].public_key()
    except ValueError:
        raise ConfigurationError("the signing chain is no PEM of certificates, leaf first") from None
    if isinstance(key, Ed25519PublicKey) or (
        isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1)
    ):
        return key
    raise ConfigurationError("the signing certificate must be for P-256 or Ed25519")


def cose_signature(signature: bytes, key: PublicKey) -> bytes:
    """The 64 bytes that COSE wants (RFC 9053 § 2.1); of ES256 r ‖ s, as an HSM gives them, or DER, as a KMS does."""
    if isinstance(key, Ed25519PublicKey) or len(signature) == _RAW:
        return signature
    r, s = decode_dss_signature(signature)
    return r.to_bytes(_COORDINATE, "big") + s.to_bytes(_COORDINATE, "big")


def belongs(sign: Sign, key: PublicKey) -> bool:
    """Whether what `sign` signs verifies under `key`; asked once, before the chain is used. Unavailable as `sign`."""
    probe = b"portcullis"
    try:
        signature = cose_signature(sign(probe), key)
        if isinstance(key, Ed25519PublicKey):
            key.verify(signature, probe)
        else:
            halves = (int.from_bytes(half, "big") for half in (signature[:_COORDINATE], signature[_COORDINATE:]))
            key.verify(encode_dss_signature(*halves), probe, ECDSA(SHA256()))
    except (InvalidSignature, ValueError):
        return False
    return True


def _function(path: str) -> Sign:
    module, _, name = path.partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigurationError(
            f"PORTCULLIS_PROVENANCE_SIGN_WITH names {path!r}, which cannot be imported: give it as module:function"
        ) from error
    if not callable(found):
        raise ConfigurationError(f"PORTCULLIS_PROVENANCE_SIGN_WITH names {path!r}, which is no function")

    def sign(data: bytes) -> bytes:
        try:
            return bytes(found(data))
        except Exception as error:  # whatever the client of a KMS raises; its message is not ours to tell
            log.error("the signing function failed", **telemetry.fault(error))
            raise Unavailable("the signing function failed", reason="SIGNER_FAILED") from None

    return sign
