"""A house that cannot work says why and how to mend it, and does not start."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from services.commands.ports import free_base

PORTCULLIS = Path(sys.executable).with_name("portcullis")


@pytest.fixture
def up(database, tmp_path):
    """Starts the prompt filter alone, with settings that are wrong."""

    def run(**settings: str) -> subprocess.CompletedProcess[str]:
        environment = {
            **os.environ,
            "PORTCULLIS_HOME": str(tmp_path),
            "PORTCULLIS_DSN": database,
            "PORTCULLIS_PORT_BASE": str(free_base()),
            **settings,
        }
        command = [PORTCULLIS, "up", "--only", "prompt_filter"]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)

    return run


def test_a_port_in_use_is_named(up):
    base = free_base()
    with socket.socket() as other:
        other.bind(("127.0.0.1", base + 1))
        other.listen()
        ended = up(PORTCULLIS_PORT_BASE=str(base))
    assert ended.returncode == 1
    assert f"127.0.0.1:{base + 1}" in ended.stderr
    assert "PORTCULLIS_PORT_BASE" in ended.stderr


def test_a_model_with_another_digest_is_named(up):
    ended = up(PORTCULLIS_PROMPT_FILTER_HEADS_SHA256="0" * 64)
    assert ended.returncode == 1
    assert "models/prompt/heads.npz: its sha256 is" in ended.stderr


def test_a_database_that_does_not_answer_is_named(up):
    ended = up(PORTCULLIS_DSN="postgresql://nobody:hidden@127.0.0.1:1/nothing")
    assert ended.returncode == 1
    assert "Postgres does not answer (nothing at 127.0.0.1:1)" in ended.stderr.replace("\n", " ")
    assert "hidden" not in ended.stderr


def test_a_bad_setting_is_named(up):
    ended = up(PORTCULLIS_DRAIN_SECONDS="soon")
    assert ended.returncode == 1
    assert "PORTCULLIS_DRAIN_SECONDS" in ended.stderr


def test_an_unknown_room_is_named(up):
    ended = subprocess.run([PORTCULLIS, "up", "--only", "kitchen"], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1
    assert "no room is called kitchen" in ended.stderr
