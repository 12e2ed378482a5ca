"""The command line against a gateway: what it prints, what it writes, how it ends."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest
from typer.testing import CliRunner

from portcullis import cli
from portcullis.cli import claims
from portcullis.errors import PortcullisError
from portcullis.v1 import checks_pb2, gateway_pb2

DECISION = "11111111-2222-4333-8444-555555555555"

pytestmark = pytest.mark.usefixtures("environment")


def run(*arguments: str):
    return CliRunner().invoke(cli.build(arguments), list(arguments))


def blocked(prompt: str, word: str) -> checks_pb2.Check:
    start = len(prompt[: prompt.index(word)].encode())
    span = checks_pb2.TextSpan(start=start, end=start + len(word.encode()))
    reason = checks_pb2.Reason(
        category="violence", message="It threatens.", score=0.9, threshold=0.5, evidence=[{"span": span}]
    )
    return checks_pb2.Check(verdict=checks_pb2.VERDICT_BLOCK, reasons=[reason], scores={"violence": 0.9})


def test_an_allowed_prompt_ends_with_0(gateway):
    result = run("check", "prompt", "a harbour")
    assert (result.exit_code, "ALLOW" in result.output) == (0, True)


def test_what_would_steer_the_terminal_is_named(gateway):
    gateway.check = blocked("a \x1b]0;thr\u202eeat", "\x1b]0;thr\u202eeat")
    result = run("check", "prompt", "a \x1b]0;thr\u202eeat")
    assert "“<U+001B>]0;thr<U+202E>eat”" in result.output


def test_a_blocked_prompt_ends_with_3_and_shows_the_words(gateway):
    gateway.check = blocked("çok a threat", "threat")
    result = run("check", "prompt", "çok a threat")
    assert result.exit_code == 3
    assert "“threat”" in result.output


def test_an_unspecified_verdict_is_shown_and_ends_as_blocked(gateway):
    gateway.check = checks_pb2.Check()
    result = run("check", "prompt", "a harbour")
    assert (result.exit_code, "BLOCK" in result.output) == (3, True)


def test_json_is_for_programs(gateway):
    result = run("check", "prompt", "a harbour", "--json")
    assert '"verdict": "VERDICT_ALLOW"' in result.output


def test_created_pictures_are_saved(gateway, tmp_path):
    gateway.events = [
        gateway_pb2.Event(accepted={"decision_id": "12345678-rest"}),
        gateway_pb2.Event(image={"index": 2, "data": b"webp", "format": checks_pb2.IMAGE_FORMAT_WEBP}),
        gateway_pb2.Event(done={"images": 1}),
    ]
    result = run("create", "a circle", "-o", str(tmp_path / "out"), "--format", "webp", "--seed", "3")
    assert result.exit_code == 0
    assert (tmp_path / "out" / "12345678-2.webp").read_bytes() == b"webp"


def test_a_held_request_ends_with_3_and_names_the_case(gateway, tmp_path):
    gateway.events = [gateway_pb2.Event(held={"review_item_id": "item-7", "stage": checks_pb2.STAGE_PROMPT})]
    result = run("create", "a circle", "-o", str(tmp_path))
    assert (result.exit_code, "item-7" in result.output) == (3, True)


def test_a_resumed_decision_saves_its_pictures(gateway, tmp_path):
    gateway.events = [
        gateway_pb2.Event(accepted={"decision_id": "12345678-rest"}),
        gateway_pb2.Event(image={"index": 1, "data": b"png", "format": checks_pb2.IMAGE_FORMAT_PNG}),
        gateway_pb2.Event(done={"images": 1}),
    ]
    result = run("resume", DECISION, "-o", str(tmp_path / "out"))
    assert result.exit_code == 0, result.output
    assert gateway.requests[0].decision_id == DECISION
    assert (tmp_path / "out" / "12345678-1.png").read_bytes() == b"png"


def test_wrong_usage_ends_with_2():
    assert run("create", "a circle").exit_code == 2


def test_a_failure_is_told_on_stderr_with_what_to_do(gateway, unavailable, monkeypatch, capsys):
    gateway.failure = unavailable
    monkeypatch.setattr("sys.argv", ["portcullis", "check", "prompt", "a harbour"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    told = capsys.readouterr().err
    assert ended.value.code == 1
    assert "try again in" in told
    assert "portcullis up" in told


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["check", "prompt", "a harbour \udcff"], "not UTF-8"),
        (["create", "a harbour", "-o", "/dev/null/out"], "/dev/null/out: Not a directory"),
    ],
)
def test_what_the_machine_refuses_is_told_in_a_line(gateway, monkeypatch, capsys, arguments, told):
    monkeypatch.setattr("sys.argv", ["portcullis", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 1
    assert told in capsys.readouterr().err


def test_a_seed_that_no_picture_can_have_is_wrong_usage(gateway, tmp_path):
    assert run("create", "a circle", "-o", str(tmp_path), "--seed", str(2**64)).exit_code == 2


def test_a_command_whose_extra_is_missing_says_what_to_install(monkeypatch):
    entry = EntryPoint("guard", "services.nowhere:app [guard]", "portcullis.commands")
    monkeypatch.setattr(cli, "entry_points", lambda group: [entry])
    monkeypatch.setattr(cli, "missing", lambda extra: ["guard-dog"])
    result = run("guard")
    assert isinstance(result.exception, PortcullisError)
    assert "pip install 'portcullis[guard]'" in result.exception.message


def test_only_the_command_that_is_called_is_loaded():
    assert [entry.name for entry in cli._meant(["--quiet", "doctor"])] == ["doctor"]
    assert cli._meant(["check", "prompt", "up"]) == []


@pytest.mark.parametrize("arguments", [[], ["--help"], ["dcotor"]])
def test_help_and_slips_of_the_pen_know_all_commands(arguments):
    assert {"doctor", "scan", "up"} <= {entry.name for entry in cli._meant(arguments)}


def test_claim_tokens_are_kept_for_their_owner_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(claims, "user_state_path", lambda _name: tmp_path)
    item = "11111111-2222-4333-8444-555555555555"
    claims.keep(item, "secret")
    path = tmp_path / "claims" / item
    assert (claims.token_of(item), path.stat().st_mode & 0o777) == ("secret", 0o600)
    claims.drop(item)
    with pytest.raises(PortcullisError, match="review claim"):
        claims.token_of(item)


def test_an_item_is_named_by_a_uuid():
    with pytest.raises(PortcullisError, match="not an item's id"):
        claims.token_of("../../etc/passwd")


def test_a_withdrawn_picture_is_called_so(gateway, tmp_path):
    (tmp_path / "a.png").write_bytes(b"png")
    plain = run("inspect", str(tmp_path / "a.png")).output
    gateway.withdrawn = True
    assert ("WITHDRAWN" in plain, "WITHDRAWN" in run("inspect", str(tmp_path / "a.png")).output) == (False, True)


def test_a_report_is_passed_on_and_its_notice_shown_as_it_is(gateway, tmp_path):
    (tmp_path / "a.png").write_bytes(b"png")
    result = run("report", str(tmp_path / "a.png"), "--reporter", "5f2b", "--category", "hate", "--statement", "it is")
    (request,) = gateway.requests
    assert (request.image, request.reporter, request.category, request.statement) == (b"png", "5f2b", "hate", "it is")
    assert "A [bold]person[/] will look." in result.output


def test_a_report_names_its_reporter(tmp_path):
    (tmp_path / "a.png").write_bytes(b"png")
    assert run("report", str(tmp_path / "a.png")).exit_code == 2


def test_an_appeal_is_passed_on(gateway):
    result = run("appeal", "3f0c", "--account", "user-1", "--statement", "It is a toy.")
    (request,) = gateway.requests
    assert (request.decision_id, request.account, request.statement) == ("3f0c", "user-1", "It is a toy.")
    assert "open" in result.output
