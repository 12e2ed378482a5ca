"""How a process ends: one line that helps, and nothing in it that could be content."""

from __future__ import annotations

import asyncio
import json
import logging
import socket

import pytest

from services.core import telemetry
from services.core.config import HouseSettings
from services.core.errors import ConfigurationError, Unavailable
from services.core.process import EXIT_AGAIN, EXIT_CONFIGURATION, EXIT_FAULT, process


@pytest.fixture(autouse=True)
def own_logging(monkeypatch):
    """The root logger is as it was afterwards."""
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", list(root.handlers))
    level = root.level
    yield
    root.setLevel(level)


def ended(capsys, error: BaseException) -> tuple[object, dict]:
    with pytest.raises(SystemExit) as caught, process("room"):
        raise error
    return caught.value.code, json.loads(capsys.readouterr().err.splitlines()[-1])


@pytest.mark.parametrize(
    ("error", "status"), [(ConfigurationError("no model"), EXIT_CONFIGURATION), (Unavailable("gone"), EXIT_AGAIN)]
)
def test_the_exit_code_says_whether_to_start_again(capsys, error, status):
    assert ended(capsys, error)[0] == status


@pytest.mark.parametrize("error", [ValueError("a prompt"), ExceptionGroup("tasks", [ValueError("a prompt")])])
def test_a_fault_is_told_by_kind_and_place_without_its_message(capsys, error):
    status, line = ended(capsys, error)
    assert (status, line["error"]) == (EXIT_FAULT, "ValueError")
    assert "a prompt" not in json.dumps(line)


def test_a_librarys_exception_is_told_without_its_message(capsys):
    with process("room"):
        try:
            raise ValueError("a prompt")
        except ValueError:
            logging.getLogger("library").exception("it broke")
    line = json.loads(capsys.readouterr().err)
    assert (line["event"], line["error"], line["at"].split(":")[0]) == ("it broke", "ValueError", "test_process.py")
    assert "a prompt" not in json.dumps(line)


@pytest.mark.parametrize(("variable", "value"), [("PORTCULLIS_PORT_BASE", "hush"), ("PORTCULLIS_HOSTS", "hush")])
def test_a_bad_setting_is_named_without_its_value(monkeypatch, variable, value):
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigurationError) as caught:
        HouseSettings()
    assert variable.removeprefix("PORTCULLIS_").lower() in caught.value.message.lower()
    assert "hush" not in caught.value.message


def test_a_metrics_port_in_use_is_named():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(ConfigurationError, match=str(port)):
            telemetry.serve_metrics("127.0.0.1", port)


def test_what_runs_in_it_runs_with_the_settings_of_the_house():
    with process("room") as house:
        assert asyncio.run(asyncio.sleep(0, house)).port("gateway") == house.port_base
