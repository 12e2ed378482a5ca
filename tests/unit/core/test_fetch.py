"""Filling a model folder, from a real server over TLS."""

from __future__ import annotations

import hashlib
import http.server
import ssl
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from services.core.errors import ConfigurationError
from services.core.fetch import fill, main, read_list
from services.core.rpc import tls

WEIGHTS = b"weights" * 1000


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves a folder, and says nothing."""

    def log_message(self, *_words: object) -> None:
        return


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Where the served folder is, whose server this process trusts."""
    served = tmp_path / "served"
    served.mkdir()
    (served / "weights").write_bytes(WEIGHTS)
    tls.create_ca(tmp_path / "tls")
    tls.issue_certificate(tmp_path / "tls", "models")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "tls" / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "tls" / "models.pem", tmp_path / "tls" / "models.key")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(served))) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"https://127.0.0.1:{server.server_port}"
        server.shutdown()


def listed(url: str, content: bytes = WEIGHTS, path: str = "unet/weights") -> str:
    return f"# a model\n\n{hashlib.sha256(content).hexdigest()}  {path}  {url}/weights\n"


def test_a_folder_is_filled_with_what_the_list_says(url: str, tmp_path: Path) -> None:
    fill(tmp_path / "model", read_list(listed(url)))
    assert (tmp_path / "model" / "unet" / "weights").read_bytes() == WEIGHTS


def test_another_file_than_was_meant_is_refused_and_not_kept(url: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="sha256 is"):
        fill(tmp_path / "model", read_list(listed(url, b"another")))
    assert not list((tmp_path / "model" / "unet").iterdir())


def test_what_is_there_and_right_is_not_fetched_again(tmp_path: Path) -> None:
    (tmp_path / "weights").write_bytes(WEIGHTS)
    fill(tmp_path, read_list(listed("https://127.0.0.1:9", path="weights")))
    assert (tmp_path / "weights").read_bytes() == WEIGHTS


def test_what_was_changed_is_fetched_again(url: str, tmp_path: Path) -> None:
    (tmp_path / "weights").write_bytes(b"changed")
    fill(tmp_path, read_list(listed(url, path="weights")))
    assert (tmp_path / "weights").read_bytes() == WEIGHTS


@pytest.mark.parametrize("path", ["../weights", "/etc/weights", "unet/../../weights"])
def test_a_path_that_leads_out_of_the_folder_is_refused(path: str) -> None:
    with pytest.raises(ConfigurationError, match=r"line 3: .* leads out"):
        list(read_list(listed("https://example.com", path=path)))


@pytest.mark.parametrize(
    "line", ["weights", f"{'0' * 64}  weights  http://example.com/w", f"{'g' * 64}  w  https://e/w"]
)
def test_a_line_that_is_none_is_told(line: str) -> None:
    with pytest.raises(ConfigurationError, match="line 1: must be"):
        list(read_list(line))


def test_the_command_ends_with_what_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "list").write_text("weights")
    monkeypatch.setattr("sys.argv", ["fetch", str(tmp_path / "list"), str(tmp_path)])
    with pytest.raises(SystemExit, match="line 1"):
        main()
