from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path

import pytest

from services.core import artifacts
from services.core.artifacts import load_artifact
from services.core.errors import ConfigurationError

CONTENT = b"weights"
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A models folder with one model and its manifest."""
    models = tmp_path / "models"
    (models / "prompt").mkdir(parents=True)
    (models / "prompt" / "heads.bin").write_bytes(CONTENT)
    (models / "MANIFEST.json").write_text(json.dumps({"prompt/heads.bin": DIGEST}))
    (tmp_path / "outside.bin").write_bytes(CONTENT)
    monkeypatch.setattr(artifacts, "MODELS", models)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def test_a_shipped_model_is_found_with_the_digest_of_the_manifest(house: Path) -> None:
    assert load_artifact("models/prompt/heads.bin") == house / "models/prompt/heads.bin"


def test_a_file_url_and_a_plain_path_are_found(house: Path) -> None:
    path = house / "outside.bin"
    assert load_artifact(str(path), DIGEST) == load_artifact(path.as_uri(), DIGEST.upper()) == path


def test_a_changed_file_is_refused_with_both_digests_named(house: Path) -> None:
    (house / "models/prompt/heads.bin").write_bytes(b"other")
    with pytest.raises(ConfigurationError, match=f"expected {DIGEST}") as caught:
        load_artifact("models/prompt/heads.bin")
    assert caught.value.reason == "MODEL_DIGEST_MISMATCH"


@pytest.mark.parametrize(
    ("uri", "sha256", "message"),
    [
        ("models/prompt/none.bin", "", "not in models/MANIFEST.json"),
        ("models/prompt/none.bin", DIGEST, "there is no file"),
        ("models/../outside.bin", DIGEST, "leads out of the models folder"),
        ("elsewhere.bin", "", "64 hex digits"),
        ("elsewhere.bin", "abc", "64 hex digits"),
        ("http://example.org/heads.bin", DIGEST, "https://"),
    ],
)
@pytest.mark.usefixtures("house")
def test_a_wrong_setting_says_what_to_mend(uri: str, sha256: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        load_artifact(uri, sha256)


@pytest.mark.usefixtures("house")
def test_a_download_is_verified_and_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def answer(url: str, timeout: float) -> io.BytesIO:
        calls.append(url)
        return io.BytesIO(CONTENT)

    monkeypatch.setattr(artifacts, "urlopen", answer)
    first = load_artifact("https://example.org/m/heads.bin", DIGEST)
    assert first.read_bytes() == CONTENT
    assert load_artifact("https://example.org/m/heads.bin", DIGEST) == first
    assert len(calls) == 1


def test_a_failed_download_leaves_nothing_behind(house: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(url: str, timeout: float) -> io.BytesIO:
        raise TimeoutError("slow")

    monkeypatch.setattr(artifacts, "urlopen", refuse)
    with pytest.raises(ConfigurationError, match="could not be fetched"):
        load_artifact("https://example.org/heads.bin", DIGEST)
    assert not [path for path in (house / "cache").rglob("*") if path.is_file()]
