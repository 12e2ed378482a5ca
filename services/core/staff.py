"""The people of the house: their roles, and what each role may do."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from services.core.errors import PermissionDenied

Role = Literal["analyst", "senior", "sealed", "lead", "policy", "auditor", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")

Permission = Literal[
    "review",  # take and decide cases
    "bulk",  # decide many at once
    "adjudicate",  # end a disagreement of two
    "sealed",  # know of sealed cases
    "accounts",  # see and change an account's standing
    "team",  # see the team's figures, keep golden cases
    "policy",  # see policies and what they would do
    "banks",  # see and change banks
    "audit",  # read the audit trail
    "staff",  # invite people and give roles
]
PERMISSIONS: Mapping[Permission, frozenset[Role]] = {
    "review": frozenset({"analyst", "senior", "sealed", "lead"}),
    "bulk": frozenset({"senior", "lead"}),
    "adjudicate": frozenset({"senior", "lead", "sealed"}),
    "sealed": frozenset({"sealed"}),
    "accounts": frozenset({"senior", "lead"}),
    "team": frozenset({"lead"}),
    "policy": frozenset({"lead", "policy", "auditor"}),
    "banks": frozenset({"senior", "lead", "policy"}),
    "audit": frozenset({"auditor", "admin"}),
    "staff": frozenset({"admin"}),
}


@dataclass(frozen=True, slots=True)
class Analyst:
    """A person at the desk. The name alone says who it is, whichever role or door they came by."""

    name: str
    roles: frozenset[Role]

    @property
    def identity(self) -> str:
        """As it stands in the books: "analyst/alice"."""
        return f"analyst/{self.name}"

    def may(self, permission: Permission) -> bool:
        """Whether one of their roles gives this permission."""
        return bool(self.roles & PERMISSIONS[permission])

    def require(self, permission: Permission) -> None:
        """Raises PermissionDenied without the permission."""
        if not self.may(permission):
            roles = ", ".join(sorted(PERMISSIONS[permission]))
            raise PermissionDenied(f"this is for the roles {roles}", reason="ROLE_NEEDED")

    def sees(self) -> list[bool]:
        """The values of an item's `sealed` that this person may see."""
        return [False, True] if self.may("sealed") else [False]
