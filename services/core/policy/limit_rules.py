"""What a policy says about what an account may use: rates, calls at once, pixels, credits."""

from __future__ import annotations

from services.core.policy.fields import Section


class LimitRules(Section):
    """What an account may use: rates, calls at once, pixels, credits."""
