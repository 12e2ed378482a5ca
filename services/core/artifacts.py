"""Finds a model file by URI and proves by its sha256 that it is the one that was meant."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from pathlib import Path
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import url2pathname, urlopen

from platformdirs import user_cache_path

from services.core.errors import ConfigurationError

# The models that ship with the house, beside the `services` package.
MODELS = Path(__file__).resolve().parents[2] / "models"
_DOWNLOAD_TIMEOUT = 60.0


def load_artifact(uri: str, sha256: str = "") -> Path:
    """The local path of the file at `uri`, after its digest was found to be `sha256` (64 hex digits).

    `uri` is `models/<name>/<file>` (ships with the house; an empty `sha256` takes the one in `models/MANIFEST.json`),
    a file path, a `file://` or an `https://` URL (kept in the user's cache folder under its digest). Raises
    ConfigurationError where the file is missing, unreachable or another one than was meant.
    """
    expected = (sha256 or _shipped_sha256(uri)).lower()
    if not re.fullmatch(r"[0-9a-f]{64}", expected):
        raise ConfigurationError(f"model {uri}: its sha256 must be 64 hex digits; set it beside the URI")
    path = _download(uri, expected) if uri.startswith("https://") else _local(uri)
    if not path.is_file():
        raise ConfigurationError(f"model {uri}: there is no file at {path}")
    _prove(uri, path, expected)
    return path


def file_sha256(path: Path) -> str:
    """The sha256 of a file in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _shipped_sha256(uri: str) -> str:
    """The digest that the manifest names for a model of the house; empty for any other URI."""
    if not uri.startswith("models/"):
        return ""
    manifest: dict[str, str] = json.loads((MODELS / "MANIFEST.json").read_text(encoding="utf-8"))
    name = uri.removeprefix("models/")
    if name not in manifest:
        raise ConfigurationError(f"model {uri}: not in models/MANIFEST.json, which names {', '.join(sorted(manifest))}")
    return manifest[name]


def _local(uri: str) -> Path:
    """The path that a `models/…`, `file://` or plain path means."""
    parts = urlsplit(uri)
    if parts.scheme == "file":
        return Path(url2pathname(parts.path))
    if parts.scheme:
        raise ConfigurationError(f"model {uri}: use models/…, a file path, file:// or https://")
    if not uri.startswith("models/"):
        return Path(uri)
    path = (MODELS.parent / uri).resolve()
    if not path.is_relative_to(MODELS):
        raise ConfigurationError(f"model {uri}: leads out of the models folder; give a file path instead")
    return path


def _download(uri: str, sha256: str) -> Path:
    """The file at `uri` in the cache, fetched unless it is there."""
    folder = user_cache_path("portcullis") / "models" / sha256
    target = folder / (Path(urlsplit(uri).path).name or "model")
    fetch(uri, target, sha256)
    return target


def fetch(url: str, target: Path, sha256: str) -> None:
    """Puts the file at an https:// URL under `target`, unless it is there: whole and proved, or not at all.

    Raises ConfigurationError where it is unreachable or another one than was meant.
    """
    if target.is_file() and file_sha256(target) == sha256:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=target.parent, delete=False) as part:
        try:
            with urlopen(f"https://{url.removeprefix('https://')}", timeout=_DOWNLOAD_TIMEOUT) as answer:
                shutil.copyfileobj(answer, part)
            part.flush()
            os.fsync(part.fileno())
            _prove(url, Path(part.name), sha256)
            Path(part.name).replace(target)
        except (URLError, OSError) as error:
            raise ConfigurationError(f"model {url}: could not be fetched ({error})") from error
        finally:
            Path(part.name).unlink(missing_ok=True)


def _prove(uri: str, path: Path, sha256: str) -> None:
    if (actual := file_sha256(path)) != sha256:
        raise ConfigurationError(
            f"model {uri}: its sha256 is {actual}, expected {sha256}; restore the file or correct the setting",
            reason="MODEL_DIGEST_MISMATCH",
        )


# What a model folder in Hugging Face's layout is made of; no pickle is ever read.
_FOLDER_FILES = ("*.json", "*.jinja", "*.model", "*.safetensors", "*.txt")
_HUB = re.compile(r"hf://(?P<repo>[\w.-]+/[\w.-]+)@(?P<commit>[0-9a-f]{40})")


def load_folder(uri: str, sha256: str) -> Path:
    """The local folder of a model in Hugging Face's layout, after its digest was found to be `sha256`.

    `uri` is a folder's path or `hf://owner/name@<commit of 40 hex digits>`. The digest is that of the lines that
    `LC_ALL=C sha256sum *.json *.jinja *.model *.safetensors *.txt` prints, sorted by name. Raises ConfigurationError
    where the folder is missing, unreachable or another one than was meant.
    """
    if found := _HUB.fullmatch(uri):
        folder = _from_hub(uri, found["repo"], found["commit"])
    elif uri.startswith("hf://"):
        raise ConfigurationError(f"model {uri}: must be hf://owner/name@commit with all 40 hex digits of the commit")
    else:
        folder = _local(uri)
    if not folder.is_dir():
        raise ConfigurationError(f"model {uri}: there is no folder at {folder}")
    if (actual := folder_sha256(folder)) != sha256.lower():
        raise ConfigurationError(
            f"model {uri}: its sha256 is {actual}, expected {sha256 or 'one in the settings'}",
            reason="MODEL_DIGEST_MISMATCH",
        )
    return folder


def folder_sha256(folder: Path) -> str:
    """The digest of a model folder, see `load_folder`."""
    paths = sorted({path.name: path for pattern in _FOLDER_FILES for path in folder.glob(pattern)}.items())
    lines = (f"{file_sha256(path)}  {name}\n" for name, path in paths)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _from_hub(uri: str, repo: str, commit: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(repo, revision=commit, allow_patterns=list(_FOLDER_FILES)))
    except (OSError, HfHubHTTPError, LocalEntryNotFoundError) as error:
        raise ConfigurationError(f"model {uri}: could not be fetched ({error})") from error
