"""Prompts and pictures under review, encrypted at rest: one file each.

An ordinary file is AES-256-GCM, `nonce (12 bytes, random) ‖ ciphertext ‖ tag (16 bytes)`. A sealed one is HPKE (RFC
9180: X25519, HKDF-SHA256, AES-256-GCM): whoever writes it holds the public key alone and cannot read it again; the
private key need only lie where the sealed role works. The id is authenticated with either, so that no file can be put
in another's place. The rows that say until when each is kept are in `services.core.store.evidence_rows`.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from uuid import UUID, uuid4

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from services.core.errors import ConfigurationError, NotFound, PermissionDenied, Unavailable
from services.core.secret_files import Followed, replace_secret, write_secret

KEY_BYTES = 32
NONCE_BYTES = 12
SUFFIX, SEALED_SUFFIX = ".aead", ".hpke"
SEALED_KEY, SEALED_PUBLIC_KEY = "evidence-sealed.key", "evidence-sealed.pub"
PSEUDONYMS_KEY = "pseudonyms.key"
HPKE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


@dataclass(frozen=True, slots=True)
class Blob:
    """A stored blob: its id, and the sha256 of the file as it lies there, encrypted."""

    id: UUID
    sha256: bytes


def create_evidence_key(path: Path) -> None:
    """Makes a random key of 256 bits and, beside it, the key pair for what is sealed, mode 0600; keeps old ones."""
    with suppress(FileExistsError):
        write_secret(path, secrets.token_bytes(KEY_BYTES))
    public = path.with_name(SEALED_PUBLIC_KEY)
    if not public.exists():
        with suppress(FileExistsError):
            write_secret(path.with_name(SEALED_KEY), X25519PrivateKey.generate().private_bytes_raw())
        private = X25519PrivateKey.from_private_bytes(path.with_name(SEALED_KEY).read_bytes())
        write_secret(public, private.public_key().public_bytes_raw())


def rotate_evidence_key(path: Path, now: datetime) -> Path:
    """Puts a new key in the place of the one at `path`; the old one stays beside it, so that what it encrypted can be
    read, under the name that is returned. Running rooms write with the new one from now on.

    Keyed hashes of people (`pseudonyms`) stay what they are: their key is kept apart from the first rotation on.
    """
    old = _read_key(path)
    with suppress(FileExistsError):
        write_secret(path.with_name(PSEUDONYMS_KEY), old)
    return _rotate(path, old, secrets.token_bytes(KEY_BYTES), now)


def rotate_sealed_key(path: Path, now: datetime) -> Path:
    """The same for what is sealed, on the machine that holds its private key; `path` is the evidence key's.

    ConfigurationError where the private key is not here. Give the new public key to whoever writes.
    """
    private, public = path.with_name(SEALED_KEY), path.with_name(SEALED_PUBLIC_KEY)
    fresh = X25519PrivateKey.generate()
    earlier = _rotate(private, _read_key(private), fresh.private_bytes_raw(), now)
    replace_secret(public, fresh.public_key().public_bytes_raw())
    return earlier


def _rotate(path: Path, old: bytes, new: bytes, now: datetime) -> Path:
    earlier = path.with_name(f"{path.stem}-{now:%Y%m%dT%H%M%SZ}{path.suffix}")
    write_secret(earlier, old)
    replace_secret(path, new)
    return earlier


class EvidenceFolder:
    """Where the blobs lie, for who has no key: to delete what has expired."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def delete(self, blob_id: UUID) -> None:
        """Deletes a blob; one that is gone already is no error."""
        for suffix in (SUFFIX, SEALED_SUFFIX, ".draft"):
            self._path(blob_id, suffix).unlink(missing_ok=True)

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

    def _path(self, blob_id: UUID, suffix: str) -> Path:
        return self._folder / blob_id.hex[:2] / f"{blob_id}{suffix}"


class EvidenceStore(EvidenceFolder):
    """A folder of encrypted blobs. Blocking: a few milliseconds for each megabyte."""

    def __init__(self, folder: Path, key_file: Path) -> None:
        """The keys for sealed evidence lie beside `key_file`; without the private one, what is sealed cannot be read.

        Raises ConfigurationError if there is no good key.
        """
        self._key_file = key_file
        self._key = Followed(key_file, _read_key)
        self._public = Followed(key_file.with_name(SEALED_PUBLIC_KEY), _read_key)
        private = key_file.with_name(SEALED_KEY)
        self._private = Followed(private, _read_key) if private.exists() else None
        super().__init__(folder)

    def put(self, data: bytes, *, sealed: bool = False) -> Blob:
        """Encrypts and stores `data` under a new id; it is on the disk when this returns.

        Raises Unavailable where the disk is full or cannot be written.
        """
        blob_id = uuid4()
        if sealed:
            public = X25519PublicKey.from_public_bytes(self._public())
            encrypted = HPKE.encrypt(data, public, info=blob_id.bytes)
        else:
            nonce = secrets.token_bytes(NONCE_BYTES)
            encrypted = nonce + AESGCM(self._key()).encrypt(nonce, data, blob_id.bytes)
        try:
            _write(self._path(blob_id, SEALED_SUFFIX if sealed else SUFFIX), encrypted)
        except OSError as error:
            raise Unavailable("evidence cannot be written", reason="EVIDENCE_UNWRITABLE") from error
        return Blob(blob_id, hashlib.sha256(encrypted).digest())

    def get(self, blob_id: UUID) -> bytes:
        """The data as it was put.

        Raises NotFound if it is gone, PermissionDenied if it is sealed and the private key is not here, Unavailable if
        it was changed on the disk.
        """
        try:
            if self._path(blob_id, SEALED_SUFFIX).exists():
                return self._unseal(blob_id)
            return self._decrypt(self._path(blob_id, SUFFIX).read_bytes(), blob_id)
        except FileNotFoundError as error:
            raise NotFound("this evidence has expired", reason="EVIDENCE_EXPIRED") from error
        except (InvalidTag, ValueError) as error:
            raise Unavailable("this evidence cannot be read with our key", reason="EVIDENCE_DAMAGED") from error

    def _decrypt(self, encrypted: bytes, blob_id: UUID) -> bytes:
        """With the key in use, else with those before it; raises InvalidTag where none fits."""
        nonce, rest = encrypted[:NONCE_BYTES], encrypted[NONCE_BYTES:]
        for key in (self._key(), *_earlier(self._key_file)):
            with suppress(InvalidTag):
                return AESGCM(key).decrypt(nonce, rest, blob_id.bytes)
        raise InvalidTag

    def _unseal(self, blob_id: UUID) -> bytes:
        if self._private is None:
            raise PermissionDenied("the key for sealed evidence is not on this machine", reason="EVIDENCE_SEALED")
        encrypted = self._path(blob_id, SEALED_SUFFIX).read_bytes()
        for key in (self._private(), *_earlier(self._key_file.with_name(SEALED_KEY))):
            with suppress(InvalidTag):
                return HPKE.decrypt(encrypted, X25519PrivateKey.from_private_bytes(key), info=blob_id.bytes)
        raise InvalidTag


def _earlier(path: Path) -> Iterator[bytes]:
    """The keys that were in the place of the one at `path`, the latest first."""
    for earlier in sorted(path.parent.glob(f"{path.stem}-[0-9]*{path.suffix}"), reverse=True):
        yield _read_key(earlier)


def _read_key(path: Path) -> bytes:
    try:
        key = path.read_bytes()
    except FileNotFoundError as error:
        raise ConfigurationError(
            f"no evidence key at {path}; `portcullis up` makes one", reason="NO_EVIDENCE_KEY"
        ) from error
    if len(key) != KEY_BYTES:
        raise ConfigurationError(f"{path} must hold {KEY_BYTES} bytes, not {len(key)}", reason="BAD_EVIDENCE_KEY")
    return key


def _write(path: Path, data: bytes) -> None:
    """Whole and on the disk, or not there at all."""
    path.parent.mkdir(exist_ok=True, mode=0o700)
    draft = path.with_suffix(".draft")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.rename(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
