"""What a policy says about what is unusual enough to act on: what is unusual enough to act on."""

from __future__ import annotations

from services.core.policy.fields import Section


class AnomalyRules(Section):
    """What is unusual enough to act on."""
