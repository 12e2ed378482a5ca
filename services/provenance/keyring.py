"""The chain that signs and the CAs that are trusted, as they are in the data home now: rotated without a restart."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import numpy as np
import structlog

from services.core.errors import ConfigurationError, Unavailable
from services.core.imaging import OutputFormat, encode
from services.core.signals import Lineage, ModelVersion
from services.provenance.authority import AUTHORITIES, CHAIN, KEY, certificates
from services.provenance.manifest import ManifestSigner, Release, Signed
from services.provenance.manifest_reader import TIME_ROOTS, ManifestReader, trusted
from services.provenance.settings import ProvenanceSettings
from services.provenance.signing_key import load_sign
from services.provenance.timestamp import TimestampAuthority

EVERY_SECONDS = 5.0
_PROBE = Release("", "0" * 16, "create", Lineage(1, ()), ModelVersion("probe", "", ""), "", "", 0, {})

log = structlog.get_logger()


class Keyring:
    """Signs with the chain in use, and keeps `reader` trusting what it shall."""

    def __init__(self, folder: Path, settings: ProvenanceSettings) -> None:
        """Reads everything in `folder`; ConfigurationError where something is missing or does not fit together.

        Unavailable where the signing function fails.
        """
        self._folder = folder
        self._settings = settings
        self.reader = ManifestReader.load(folder)
        self.authority = self._clock()
        self._signer = self._load()
        self._seen = self._digest()

    def sign(self, image: bytes, kind: OutputFormat, release: Release, parent: bytes | None) -> Signed:
        """As ManifestSigner.sign, with the chain in use."""
        return self._signer.sign(image, kind, release, parent)

    async def follow(self) -> None:
        """Takes what has changed in the folder, for ever."""
        while True:
            await asyncio.sleep(EVERY_SECONDS)
            await asyncio.to_thread(self.refresh)

    def refresh(self) -> None:
        """Takes what has changed in the folder, if it fits together; else stays with what it has, and says so."""
        try:
            digest = self._digest()
            if digest == self._seen:
                return
            self.reader.trust(*trusted(self._folder))
            self._signer = self._load()
        except ConfigurationError as error:
            log.error("the changed signing chain is not used", mend=error.message)
        except (Unavailable, OSError) as error:
            log.warning("the changed signing chain is not used yet", error=type(error).__name__)
            return
        self._seen = digest

    def close(self) -> None:
        """End the helper of the reader, and hang up on the time-stamping authority."""
        self.reader.close()
        if self.authority:
            self.authority.close()

    def _load(self) -> ManifestSigner:
        leaf, chain = certificates(self._folder, CHAIN)[0], (self._folder / CHAIN).read_bytes()
        sign = load_sign(self._settings, self._folder / KEY)
        signer = ManifestSigner(chain, sign, self.authority, self._settings.detector_url)
        until = leaf.not_valid_after_utc
        if until < datetime.now(UTC):
            raise ConfigurationError(
                f"the signing certificate expired on {until:%Y-%m-%d}: `portcullis provenance ca rotate` makes another"
            )
        self._prove(ManifestSigner(chain, sign))
        log.info("signing chain", until=until.isoformat())
        return signer

    def _prove(self, signer: ManifestSigner) -> None:
        """That what is signed is trusted here; ConfigurationError where it is not."""
        image = signer.sign(encode(np.zeros((8, 8, 3), np.uint8)), "PNG", _PROBE, None).image
        if self.reader.read(image, "PNG").state != "trusted":
            raise ConfigurationError(
                f"what the signing chain signs is not trusted: its CA must be in {AUTHORITIES}, and it must follow the"
                " recipe that `portcullis provenance ca init --help` tells"
            )

    def _clock(self) -> TimestampAuthority | None:
        if not self._settings.tsa_url:
            return None
        roots = self._folder / TIME_ROOTS
        if not roots.exists():
            raise ConfigurationError(
                f"PORTCULLIS_PROVENANCE_TSA_URL is set, but {roots} is missing: put the authority's root there, as PEM"
            )
        return TimestampAuthority(self._settings.tsa_url, roots.read_bytes())

    def _digest(self) -> bytes:
        """Of all that is followed; a key that comes from elsewhere is taken once."""
        files = sorted(self._folder.glob("*.pem"))
        return sha256(b"".join(file.name.encode() + file.read_bytes() for file in files)).digest()
