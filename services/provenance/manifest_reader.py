"""What a picture's C2PA manifest says, read in a process apart."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cryptography import x509

from services.core.apart import Apart
from services.core.errors import ConfigurationError, Unavailable
from services.provenance.authority import AUTHORITIES

ManifestState = Literal["absent", "unreadable", "foreign", "changed", "trusted"]

TIME_ROOTS = "tsa.pem"
_SECONDS = 5.0
_GRACE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class ManifestFinding:
    """`trusted`: signed by us, and the content is what was signed. `changed`: signed by us, for other content.

    `foreign`: a manifest that is not ours. `unreadable`: no sense could be made of it. `image_id` and `payload_id`
    are what a manifest of ours claims, else empty.
    """

    state: ManifestState
    image_id: str = ""
    payload_id: str = ""


class ManifestReader:
    """Reads one manifest at a time in a helper process, which is replaced when it dies."""

    def __init__(self, authorities: bytes, time_roots: bytes = b"") -> None:
        """`authorities` are the CAs that sign for us, `time_roots` those of trusted timestamps; both PEM."""
        self.trust(authorities, time_roots)
        self._lock = threading.Lock()
        self._helper: Apart | None = None

    @classmethod
    def load(cls, folder: Path) -> ManifestReader:
        """Read ca.pem, and tsa.pem where there is one; raises ConfigurationError where it cannot."""
        try:
            return cls(*trusted(folder))
        except OSError as error:
            raise ConfigurationError(f"no CA in {folder}: start `portcullis up` once to make one") from error

    def trust(self, authorities: bytes, time_roots: bytes) -> None:
        """From now on trusts these, and these alone; ConfigurationError where they are no PEM of certificates."""
        try:
            x509.load_pem_x509_certificates(authorities)
            if time_roots:
                x509.load_pem_x509_certificates(time_roots)
        except ValueError as error:
            raise ConfigurationError(f"{AUTHORITIES} or {TIME_ROOTS} is no PEM of certificates") from error
        self._trusted = (authorities, time_roots)

    def read(self, data: bytes, kind: str, sidecar: bytes = b"") -> ManifestFinding:
        """The finding for a file of kind "PNG", "JPEG", "WEBP" or "GIF"; blocks, up to seconds.

        With `sidecar`, a manifest of the registry, that is read in the place of the file's own: it is `trusted` where
        the file, with its manifest or stripped of it, is otherwise byte for byte what was signed.
        A file that kills or hangs the helper is `unreadable`. Unavailable where no helper can be started.
        """
        with self._lock:
            helper = self._helper = self._helper or _start()
            try:
                request = {"kind": kind, "seconds": _SECONDS}
                head, _ = helper.ask(request, [*self._trusted, data, sidecar], _SECONDS + _GRACE_SECONDS)
            except (EOFError, OSError):
                self._helper = None
                return ManifestFinding("unreadable")
        return ManifestFinding(head["state"], head.get("image_id", ""), head.get("payload_id", ""))

    def close(self) -> None:
        """End the helper."""
        with self._lock:
            if self._helper:
                self._helper.end()
                self._helper = None


def trusted(folder: Path) -> tuple[bytes, bytes]:
    """What ca.pem and tsa.pem hold; the latter may be missing. OSError where they cannot be read."""
    roots = folder / TIME_ROOTS
    return (folder / AUTHORITIES).read_bytes(), roots.read_bytes() if roots.exists() else b""


def _start() -> Apart:
    try:
        return Apart("services.provenance.manifest_worker")
    except (EOFError, OSError) as error:
        raise Unavailable("no process for reading manifests could be started") from error
