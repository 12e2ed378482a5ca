"""Scans: one row per item, bad ones reported with line and reason, nothing lost."""

from __future__ import annotations

import json

import pytest
import typer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from portcullis.errors import PortcullisError
from services.commands import scan
from services.commands.default_policy import DEFAULT_POLICY
from services.commands.scan_rows import files, lines, verdict_row
from services.core.errors import InvalidInput
from services.core.policy.document import load_policy
from services.core.signals import Measurement, ModelVersion, Signal, TextSpan
from services.core.verdicts import Judgement, Reason, Verdict

POLICY = load_policy(DEFAULT_POLICY.read_text(encoding="utf-8"), "default")
MODELS = (ModelVersion("prompt-linear", "1"),)


def judged(verdict: Verdict, *signals: Signal, reasons: tuple[Reason, ...] = ()):
    return Measurement(signals, MODELS), Judgement(verdict, reasons)


def judge(line):
    item = line.parse(scan.Prompt)
    if not item.text:
        raise InvalidInput("prompt", "has 0 characters, allowed are 1 to 4000")
    return {"id": item.id, "verdict": "ALLOW"}


@pytest.fixture
def scanned(tmp_path):
    def run(data: bytes) -> tuple[int, list[dict]]:
        source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
        source.write_bytes(data)
        with pytest.raises(typer.Exit) as ended:
            scan._scan_lines(source, target, judge)
        return ended.value.exit_code, [json.loads(line) for line in target.read_text().splitlines()]

    return run


def test_good_lines_end_with_0(scanned):
    status, rows = scanned(b'{"id": "a", "text": "x"}\n{"id": 2, "text": "y", "more": 1}')
    assert (status, [row["id"] for row in rows]) == (0, ["a", 2])


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"not json", "not JSON"),
        (b'{"id": "a"}', "text: Field required"),
        (b'{"id": "a", "text": 7}', "text: Input should be a valid string"),
        (b'{"id": "a", "text": "\xff"}', "not UTF-8"),
        (b"[" * 100_000, "not JSON"),
        (b'["a", "x"]', "Input should be a valid dictionary"),
        (b'{"id": "a", "text": ""}', "has 0 characters"),
    ],
)
def test_a_bad_line_is_a_row_with_its_number_and_reason(scanned, line, reason):
    status, rows = scanned(b'{"id": 1, "text": "x"}\n\n' + line + b'\n{"id": 3, "text": "z"}\n')
    assert status == 1
    assert [row.get("id") for row in (rows[0], rows[2])] == [1, 3]
    assert rows[1]["line"] == 3
    assert reason in rows[1]["error"]


def test_the_error_row_names_the_item_where_it_can(scanned):
    assert scanned(b'{"id": "a", "text": ""}')[1][0]["id"] == "a"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None)
@given(st.lists(st.binary().map(lambda data: data.replace(b"\n", b" "))))
def test_every_line_that_is_not_blank_has_a_row(scanned, data):
    assert len(scanned(b"\n".join(data))[1]) == sum(1 for line in data if line.strip())


def test_what_is_read_is_never_overwritten(tmp_path):
    source = tmp_path / "in.jsonl"
    source.write_bytes(b'{"id": 1, "text": "x"}\n')
    (tmp_path / "link.jsonl").symlink_to(source)
    with pytest.raises(PortcullisError, match="name another file"):
        scan._scan_lines(source, tmp_path / "link.jsonl", judge)
    assert source.read_bytes() == b'{"id": 1, "text": "x"}\n'


def test_lines_are_read_one_by_one(tmp_path):
    (tmp_path / "in").write_bytes(b"a\n\n \nb")
    assert [(line.number, line.data) for line in lines(tmp_path / "in")] == [(1, b"a\n"), (4, b"b")]


def test_files_come_in_order_from_any_depth(tmp_path):
    for name in ("b.png", "a/z.png", "a/b/c.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert [path.relative_to(tmp_path).as_posix() for path in files(tmp_path)] == ["a/b/c.png", "a/z.png", "b.png"]


def test_a_row_says_verdict_scores_reasons_and_versions():
    span = TextSpan(2, 5)
    reason = Reason("hate", "It demeans.", 0.9, 0.8, Verdict.BLOCK, evidence=(span,))
    row = verdict_row("a", [judged(Verdict.BLOCK, Signal("hate", 0.9, "x/1", span), reasons=(reason,))], POLICY)
    evidence = {"kind": "TextSpan", "start": 2, "end": 5, "form": "original"}
    assert row == {
        "id": "a",
        "verdict": "BLOCK",
        "scores": {"hate": 0.9},
        "reasons": [{"category": "hate", "message": "It demeans.", "evidence": [evidence]}],
        "versions": {"policy": POLICY.id, "models": {"prompt-linear": "1"}},
    }


def test_the_worst_of_several_checks_wins():
    row = verdict_row(1, [judged(Verdict.ALLOW), judged(Verdict.REVIEW), judged(Verdict.ALLOW)], POLICY)
    assert row["verdict"] == "REVIEW"


def test_measurements_for_rules_alone_are_no_scores():
    row = verdict_row(
        1, [judged(Verdict.ALLOW, Signal("concept.photo", 1.0, "x/1"), Signal("hate", 0.1, "x/1"))], POLICY
    )
    assert row["scores"] == {"hate": 0.1}


def test_nothing_judged_is_blocked():
    assert verdict_row(1, [], POLICY)["verdict"] == "BLOCK"
