"""The files by which a process proves who it is, as they are now: an issuer may renew them while we run."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import structlog
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from services.core.errors import ConfigurationError

log = structlog.get_logger()


class Identity(NamedTuple):
    """What TLS needs, each as PEM: the authorities to trust, our certificate with its chain, and its key."""

    authorities: bytes
    certificate: bytes
    key: bytes


class IdentityFiles:
    """The PEM files of the authorities, of a certificate, and of its key, which lies beside it and ends in .key."""

    def __init__(self, authorities: Path, certificate: Path) -> None:
        """Raises ConfigurationError where a file is missing or they do not belong together."""
        self._paths = (authorities, certificate, certificate.with_suffix(".key"))
        try:
            self._seen = self._stamp()
            self._identity = self._read()
        except OSError as error:
            raise ConfigurationError(
                f"no certificate at {certificate}: start `portcullis up` once to make it, or put it there with its key"
                f" and {authorities.name}"
            ) from error
        except (ValueError, UnsupportedAlgorithm) as error:
            raise ConfigurationError(f"the certificate at {certificate} is of no use: {error}") from error

    def current(self) -> Identity:
        """The newest that belong together: the same object until a file has changed. Never raises; for any thread."""
        try:
            stamp = self._stamp()
            if stamp != self._seen:
                self._identity, self._seen = self._read(), stamp
                log.info("took renewed certificates", certificate=str(self._paths[1]))
        except (OSError, ValueError, UnsupportedAlgorithm) as error:  # half written, perhaps: we ask again
            log.warning("renewed certificates are not used", certificate=str(self._paths[1]), why=type(error).__name__)
        return self._identity

    def _stamp(self) -> tuple[tuple[int, int, int], ...]:
        """What differs once a file was written or another was put in its place."""
        found = [path.stat() for path in self._paths]
        return tuple((file.st_mtime_ns, file.st_ino, file.st_size) for file in found)

    def _read(self) -> Identity:
        identity = Identity(*(path.read_bytes() for path in self._paths))
        x509.load_pem_x509_certificates(identity.authorities)
        own = x509.load_pem_x509_certificates(identity.certificate)[0].public_key()
        key = load_pem_private_key(identity.key, password=None).public_key()
        encoding = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        if own.public_bytes(*encoding) != key.public_bytes(*encoding):
            raise ValueError("its key is another certificate's")
        return identity
