"""Where the policy lies that is in force until another is activated."""

from __future__ import annotations

from pathlib import Path

DEFAULT_POLICY = Path(__file__).resolve().parents[2] / "policies" / "default.yaml"
