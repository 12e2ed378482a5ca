"""The logs of many services for a person: JSON lines in, one coloured line each out."""

from __future__ import annotations

import json
from typing import Any

from rich.console import Console
from rich.text import Text

COLOURS = ("cyan", "magenta", "green", "blue", "yellow", "bright_cyan", "bright_magenta", "bright_green", "bright_blue")
LEVELS = {"debug": "dim", "warning": "yellow", "error": "bold red", "critical": "bold red"}
_SHOWN_ELSEWHERE = ("event", "level", "timestamp", "service")


class LogView:
    """Writes the lines of all parts to one console, each with its part's name and colour."""

    def __init__(self, console: Console, names: list[str]) -> None:
        self._console = console
        self._width = max(map(len, [*names, "up"]))
        self._colours = {name: COLOURS[index % len(COLOURS)] for index, name in enumerate(names)}

    def show(self, name: str, line: str) -> None:
        """One line of a part's output: JSON of our services, or plain text of other programs."""
        self._console.print(self._prefix(name) + render(line), soft_wrap=True)

    def say(self, message: str, style: str = "bold") -> None:
        """A line of the supervisor's own."""
        self._console.print(self._prefix("up") + Text(message, style), soft_wrap=True)

    def _prefix(self, name: str) -> Text:
        return Text(f"{name:>{self._width}} │ ", self._colours.get(name, "bold"))


def render(line: str) -> Text:
    """A log line as text: time, event, then the other fields as key=value; anything else as it is."""
    entry = _parse(line)
    if entry is None:
        return Text(line)
    style = LEVELS.get(str(entry.get("level")), "")
    text = Text(f"{str(entry.get('timestamp', ''))[11:19]} ", "dim")
    text.append(str(entry.get("event", "")), style)
    for key, value in entry.items():
        if key not in _SHOWN_ELSEWHERE:
            text.append(f"  {key}=", "dim").append(str(value))
    return text


def _parse(line: str) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) else None
