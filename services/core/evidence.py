"""Prompts and pictures under review, encrypted at rest: one AES-256-GCM file each.

A file is `nonce (12 bytes, random) ‖ ciphertext ‖ tag (16 bytes)`, and its id is authenticated with it, so that no file
can be put in another's place. The rows that say until when each is kept are in `services.core.store.evidence_rows`.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID, uuid4

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from services.core.errors import ConfigurationError, NotFound, Unavailable
from services.core.secret_files import write_secret

KEY_BYTES = 32
NONCE_BYTES = 12


@dataclass(frozen=True, slots=True)
class Blob:
    """A stored blob: its id, and the sha256 of the file as it lies there, encrypted."""

    id: UUID
    sha256: bytes


def create_evidence_key(path: Path) -> None:
    """Makes a random key of 256 bits, mode 0600; a key that is there already stays."""
    try:
        write_secret(path, secrets.token_bytes(KEY_BYTES))
    except FileExistsError:
        return


class EvidenceStore:
    """A folder of encrypted blobs. Blocking: a few milliseconds for each megabyte."""

    def __init__(self, folder: Path, key_file: Path) -> None:
        """Raises ConfigurationError if there is no good key."""
        try:
            key = key_file.read_bytes()
        except FileNotFoundError as error:
            raise ConfigurationError(
                f"no evidence key at {key_file}; `portcullis up` makes one", reason="NO_EVIDENCE_KEY"
            ) from error
        if len(key) != KEY_BYTES:
            raise ConfigurationError(
                f"{key_file} must hold {KEY_BYTES} bytes, not {len(key)}", reason="BAD_EVIDENCE_KEY"
            )
        self._cipher = AESGCM(key)
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def put(self, data: bytes) -> Blob:
        """Encrypts and stores `data` under a new id; it is on the disk when this returns."""
        blob_id = uuid4()
        nonce = secrets.token_bytes(NONCE_BYTES)
        sealed = nonce + self._cipher.encrypt(nonce, data, blob_id.bytes)
        path = self._path(blob_id)
        path.parent.mkdir(exist_ok=True, mode=0o700)
        draft = path.with_suffix(".draft")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(sealed)
            file.flush()
            os.fsync(file.fileno())
        draft.rename(path)
        _sync_folder(path.parent)
        return Blob(blob_id, hashlib.sha256(sealed).digest())

    def get(self, blob_id: UUID) -> bytes:
        """The data as it was put; raises NotFound if it is gone, Unavailable if it was changed on the disk."""
        try:
            sealed = self._path(blob_id).read_bytes()
        except FileNotFoundError as error:
            raise NotFound("this evidence has expired", reason="EVIDENCE_EXPIRED") from error
        try:
            return self._cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], blob_id.bytes)
        except (InvalidTag, ValueError) as error:
            raise Unavailable("this evidence cannot be read with our key", reason="EVIDENCE_DAMAGED") from error

    def delete(self, blob_id: UUID) -> None:
        """Deletes a blob; one that is gone already is no error."""
        path = self._path(blob_id)
        path.unlink(missing_ok=True)
        path.with_suffix(".draft").unlink(missing_ok=True)

    def older_than(self, seconds: float) -> Iterator[UUID]:
        """The ids of all blobs that were put, or begun, more than `seconds` ago."""
        limit = time.time() - seconds
        for path in self._folder.glob("*/*"):
            try:
                old = path.stat().st_mtime < limit
            except FileNotFoundError:  # another relay sweeps too
                continue
            if old:
                yield UUID(path.stem)

    def _path(self, blob_id: UUID) -> Path:
        return self._folder / blob_id.hex[:2] / f"{blob_id}.aead"


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
