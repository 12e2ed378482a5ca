"""What a picture's C2PA manifest says, read in a process apart."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from services.core.apart import Apart
from services.core.errors import ConfigurationError, Unavailable

ManifestState = Literal["absent", "unreadable", "foreign", "changed", "trusted"]

_SECONDS = 5.0
_GRACE_SECONDS = 5.0
_MIMES = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp", "GIF": "image/gif"}


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

    def __init__(self, authority: bytes) -> None:
        """`authority` is the one CA that is trusted, as PEM."""
        self._authority = authority
        self._lock = threading.Lock()
        self._helper: Apart | None = None

    @classmethod
    def load(cls, folder: Path) -> ManifestReader:
        """Read ca.pem; raises ConfigurationError where it cannot."""
        try:
            return cls((folder / "ca.pem").read_bytes())
        except OSError as error:
            raise ConfigurationError(f"no CA in {folder}: start `portcullis up` once to make one") from error

    def read(self, data: bytes, kind: str) -> ManifestFinding:
        """The finding for a file of kind "PNG", "JPEG", "WEBP" or "GIF"; blocks, up to seconds.

        A file that kills or hangs the helper is `unreadable`. Unavailable where no helper can be started.
        """
        with self._lock:
            helper = self._helper = self._helper or _start()
            try:
                request = {"mime": _MIMES[kind], "seconds": _SECONDS}
                head, _ = helper.ask(request, [self._authority, data], _SECONDS + _GRACE_SECONDS)
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


def _start() -> Apart:
    try:
        return Apart("services.provenance.manifest_worker")
    except (EOFError, OSError) as error:
        raise Unavailable("no process for reading manifests could be started") from error
