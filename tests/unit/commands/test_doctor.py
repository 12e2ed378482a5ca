"""What the doctor finds."""

from __future__ import annotations

import socket

import pytest

from services.commands import checkup, doctor
from services.commands.findings import Level


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("PORTCULLIS_HOME", str(tmp_path))
    (tmp_path / "tls").mkdir()
    for name in ("ca.pem", "gateway.pem", "gateway.key"):
        (tmp_path / "tls" / name).touch(0o600 if name.endswith(".key") else 0o644)
    return tmp_path


def test_a_good_home_is_good(home):
    assert [finding.level for finding in checkup.home()] == [Level.GOOD]


def test_a_key_that_others_can_read_is_found(home):
    (home / "tls" / "gateway.key").chmod(0o640)
    (finding,) = checkup.home()
    assert (finding.level, finding.mend) == (Level.BAD, f"chmod 0600 {home}/tls/gateway.key")


def test_a_home_that_others_can_write_is_found(home):
    home.chmod(0o777)
    (finding,) = checkup.home()
    assert (finding.level, finding.mend) == (Level.BAD, f"chmod 0755 {home}")


def test_no_home_yet_is_no_fault(home, monkeypatch):
    monkeypatch.setenv("PORTCULLIS_HOME", str(home / "none"))
    assert [finding.level for finding in checkup.home()] == [Level.NOTE]


async def test_a_port_in_use_is_found(home, monkeypatch):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        monkeypatch.setenv("PORTCULLIS_PORT_BASE", str(other.getsockname()[1]))
        (home / "tls" / "gateway.pem").unlink()
        findings = {finding.subject: finding for finding in await checkup.running()}
    assert findings["gateway"].level is Level.BAD
    assert findings["database"].level is Level.NOTE


@pytest.mark.parametrize(("port", "told"), [(7400, False), (9400, True)])
async def test_a_house_on_other_ports_is_found(home, port, told):
    (home / "client.json").write_text(f'{{"address": "127.0.0.1:{port}", "api_key": "pk_hush"}}')
    mends = [finding.mend for finding in await checkup.running() if finding.subject == "ports"]
    assert mends == (["PORTCULLIS_PORT_BASE=9400 portcullis doctor"] if told else [])


async def test_a_certificate_of_no_use_is_found_and_the_rest_looked_at(home):
    findings = {finding.subject: finding for finding in await checkup.running()}
    assert findings["gateway"].level is Level.BAD
    assert str(home / "tls" / "gateway.pem") in findings["gateway"].message
    assert findings["review"].level is Level.NOTE


def test_two_opencvs_are_found(monkeypatch):
    class Installed:
        def __init__(self, name: str) -> None:
            self.metadata = {"Name": name}

    monkeypatch.setattr(
        doctor, "distributions", lambda: [Installed("opencv-python"), Installed("opencv-python-headless")]
    )
    (finding,) = doctor._packages_at_odds()
    assert (finding.level, finding.subject) == (Level.BAD, "opencv-python")


def test_the_licence_of_what_finds_explicit_content_is_told(monkeypatch):
    monkeypatch.setenv("PORTCULLIS_IMAGE_FILTER_EXPLICIT", '["nudenet", {"preset": "marqo", "sha256": "00"}]')
    told = {finding.subject: (finding.level, finding.message) for finding in checkup.explicit()}
    assert told == {
        "explicit content: nudenet": (Level.GOOD, "licence AGPL-3.0-only"),
        "explicit content: marqo": (Level.GOOD, "licence Apache-2.0"),
    }


def test_a_detector_that_is_not_installed_is_found_with_what_installs_it(monkeypatch):
    monkeypatch.setattr(checkup, "find_spec", lambda _name: None)
    (finding,) = checkup.explicit()
    assert (finding.level, finding.mend) == (Level.BAD, "pip install 'portcullis[nudenet]'")


def test_no_detector_of_explicit_content_is_found(monkeypatch):
    monkeypatch.setenv("PORTCULLIS_IMAGE_FILTER_EXPLICIT", "[]")
    (finding,) = checkup.explicit()
    assert finding.level is Level.BAD


def test_a_missing_text_reader_is_found_with_the_command_that_brings_it(monkeypatch):
    monkeypatch.setattr(doctor, "find_spec", lambda _: None)

    (finding,) = doctor._text_reader()

    assert finding.level is Level.BAD
    assert "--no-deps rapidocr-onnxruntime" in finding.mend
