"""What a policy says about what conduct leads to: strikes, the ladder, tiers."""

from __future__ import annotations

from services.core.policy.fields import Section


class StandingRules(Section):
    """What conduct leads to: strikes, the ladder, tiers."""
