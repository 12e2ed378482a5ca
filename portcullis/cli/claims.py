"""The tokens of claimed items between two commands: files that only their owner can read."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

from platformdirs import user_state_path

from portcullis.errors import PortcullisError


def keep(item: str, token: str) -> None:
    """Remembers the token of a claimed item."""
    path = _path(item)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.touch(mode=0o600)
    path.write_text(token)


def token_of(item: str) -> str:
    """The token of an item claimed here; raises PortcullisError where there is none."""
    path = _path(item)
    if not path.exists():
        raise PortcullisError(
            f"{item} is not claimed here: run `portcullis review claim {item}` first",
            code="FAILED_PRECONDITION",
            reason="NOT_CLAIMED",
        )
    return path.read_text()


def drop(item: str) -> None:
    """Forgets the token."""
    _path(item).unlink(missing_ok=True)


def _path(item: str) -> Path:
    try:
        name = str(UUID(item))
    except ValueError:
        raise PortcullisError(f"{item!r} is not an item's id (a UUID)", code="INVALID_ARGUMENT") from None
    return user_state_path("portcullis") / "claims" / name
