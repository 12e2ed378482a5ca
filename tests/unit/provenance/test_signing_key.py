"""Keys from everywhere: file, environment, a function; and none of them ever told."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
import structlog
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from services.core.errors import ConfigurationError, Unavailable
from services.provenance.authority import Algorithm, make_chain
from services.provenance.manifest import ManifestSigner
from services.provenance.manifest_reader import ManifestReader
from services.provenance.settings import ProvenanceSettings
from services.provenance.signing_key import load_sign, sign_with_key
from tests.unit.provenance.test_manifest import RELEASE, picture

NOW = datetime.now(UTC)
CA, CHAIN, KEY = make_chain("Portcullis development", NOW)
READER = ManifestReader(CA)
SECRET_LINE = KEY.splitlines()[1].decode()

# What an operator writes for a KMS: here the other program is OpenSSL, which alone knows the key.
ELSEWHERE = """
import subprocess

def sign(data: bytes) -> bytes:
    command = ["openssl", "dgst", "-sha256", "-sign", {key!r}]
    return subprocess.run(command, input=data, check=True, capture_output=True).stdout

def fail(data: bytes) -> bytes:
    raise RuntimeError({secret!r})

number = 7
"""


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "key.pem").write_bytes(KEY)
    source = ELSEWHERE.format(key=str(tmp_path / "key.pem"), secret=SECRET_LINE)
    (tmp_path / "house_kms.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "house_kms", raising=False)
    return "house_kms"


def settings(**values: object) -> ProvenanceSettings:
    return ProvenanceSettings(**values)


@pytest.fixture(scope="module", autouse=True)
def _end_reader() -> Iterator[None]:
    yield
    READER.close()


def state(image: bytes, ca: bytes) -> str:
    READER.trust(ca, b"")
    return READER.read(image, "PNG").state


@pytest.mark.parametrize("algorithm", ["es256", "ed25519"])
def test_the_algorithm_is_that_of_the_key(algorithm: Algorithm) -> None:
    ca, chain, key = make_chain("Portcullis development", NOW, algorithm)

    signed = ManifestSigner(chain, sign_with_key(key)).sign(picture(), "PNG", RELEASE, None)

    assert state(signed.image, ca) == "trusted"


def test_a_key_of_the_environment_signs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PORTCULLIS_PROVENANCE_SIGNING_KEY", KEY.decode())

    sign = load_sign(settings(), tmp_path / "none.pem")

    assert state(ManifestSigner(CHAIN, sign).sign(picture(), "PNG", RELEASE, None).image, CA) == "trusted"


def test_another_process_signs(elsewhere: str, tmp_path: Path) -> None:
    sign = load_sign(settings(sign_with=f"{elsewhere}:sign"), tmp_path / "none.pem")

    assert state(ManifestSigner(CHAIN, sign).sign(picture(), "PNG", RELEASE, None).image, CA) == "trusted"


def test_a_signer_that_fails_signs_nothing_and_tells_nothing(
    elsewhere: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    working = load_sign(settings(sign_with=f"{elsewhere}:sign"), tmp_path / "none.pem")
    failing = load_sign(settings(sign_with=f"{elsewhere}:fail"), tmp_path / "none.pem")
    signer = ManifestSigner(CHAIN, working)
    signer._sign = failing  # as a KMS that goes away after the start

    with caplog.at_level(logging.DEBUG), structlog.testing.capture_logs() as logs, pytest.raises(Unavailable) as error:
        signer.sign(picture(), "PNG", RELEASE, None)

    assert [entry["error"] for entry in logs] == ["RuntimeError"]
    assert SECRET_LINE not in f"{error.value} {error.value.__cause__} {logs} {caplog.text}"


@pytest.mark.parametrize("name", ["none:sign", "house_kms:none", "house_kms:number", "house_kms", ":"])
def test_a_function_that_is_none_is_refused(elsewhere: str, tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match="SIGN_WITH"):
        load_sign(settings(sign_with=name), tmp_path / "none.pem")


def test_a_function_that_fails_at_the_start_may_be_tried_again(elsewhere: str, tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        ManifestSigner(CHAIN, load_sign(settings(sign_with=f"{elsewhere}:fail"), tmp_path / "none.pem"))


def test_two_keys_are_one_too_many(elsewhere: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="both set"):
        load_sign(settings(sign_with=f"{elsewhere}:sign", signing_key=KEY.decode()), tmp_path / "none.pem")


def test_a_key_of_another_chain_is_refused() -> None:
    _, _, other = make_chain("Portcullis development", NOW)

    with pytest.raises(ConfigurationError, match="does not belong"):
        ManifestSigner(CHAIN, sign_with_key(other))


def test_an_rsa_key_is_refused() -> None:
    rsa = generate_private_key(65537, 2048).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    with pytest.raises(ConfigurationError, match="P-256 or Ed25519"):
        sign_with_key(rsa)


def test_a_spoilt_key_is_not_told() -> None:
    spoilt = KEY.replace(b"\n-----END", b"AAAA\n-----END")

    with pytest.raises(ConfigurationError) as error:
        sign_with_key(spoilt)

    assert SECRET_LINE not in f"{error.value!r} {error.value.__cause__!r}"


def test_the_settings_do_not_show_the_key() -> None:
    assert SECRET_LINE not in repr(settings(signing_key=KEY.decode()))


def test_threads_sign_side_by_side() -> None:
    signer = ManifestSigner(CHAIN, sign_with_key(KEY))

    with ThreadPoolExecutor(4) as threads:
        signed = list(threads.map(lambda shade: signer.sign(picture(shade), "PNG", RELEASE, None), range(8)))

    assert {state(one.image, CA) for one in signed} == {"trusted"}


def test_a_process_with_keys_leaves_no_core(tmp_path: Path) -> None:
    """The flag in the exit status is the kernel's own word on whether it dumped; unprotected, it may say yes."""
    source = "from services.core.core_dumps import forbid_core_dumps\nforbid_core_dumps()\n"
    source += "import ctypes, os, resource\n"
    source += "assert resource.getrlimit(resource.RLIMIT_CORE) == (0, 0)\n"
    source += "assert ctypes.CDLL(None).prctl(3, 0, 0, 0, 0) == 0  # PR_GET_DUMPABLE\n"
    source += "os.abort()\n"
    child = subprocess.Popen(
        [sys.executable, "-c", source], cwd=tmp_path, env={"PYTHONPATH": os.pathsep.join(sys.path)}
    )

    _, status = os.waitpid(child.pid, 0)

    assert os.WTERMSIG(status) == signal.SIGABRT
    assert not os.WCOREDUMP(status)
    assert list(tmp_path.iterdir()) == []
