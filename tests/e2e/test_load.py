"""A house under load, through the command."""

from __future__ import annotations

import json
import subprocess
import sys


def test_a_short_load_reports_what_came_of_it(house, tmp_path):
    report = tmp_path / "load.json"
    command = "from services.commands.load import load; import typer; typer.run(load)"
    arguments = ["--rate", "1.5", "--seconds", "6", "--warm-up", "0", "--violating", "0.3", "--report", str(report)]
    ran = subprocess.run(
        [sys.executable, "-c", command, *arguments], env=house.environment, capture_output=True, text=True, timeout=60
    )
    assert ran.returncode == 0, ran.stderr
    assert "answers/s" in ran.stdout
    figures = json.loads(report.read_text())
    errors = sum(count for reasons in figures["errors"].values() for count in reasons.values())
    assert figures["answered"] + errors == figures["asked"] > 3
    assert figures["latency_ms"]["create"]["p50"] > 0
    assert {"render", "screen", "mark"} <= figures["steps_ms"].keys()
    assert figures["pictures"] > 0
    assert "ALLOW" not in figures["verdicts"].get("violating", {})
    assert figures["services"]["gateway"]["cpu_seconds"] > 0
    assert figures["services"]["postgres"]["memory_mib"][0] > 0
