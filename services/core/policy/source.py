"""The policy in force, as a running service sees it: read from Postgres, looked at again every two seconds."""

from __future__ import annotations

import asyncio
import time

import structlog

from services.core import telemetry
from services.core.errors import ConfigurationError, Unavailable
from services.core.policy.document import Policy, PolicyError
from services.core.store import policies
from services.core.store.database import Database

REFRESH_SECONDS = 2.0

log = structlog.get_logger()


class ActivePolicy:
    """The policy in force; while Postgres is away the last good one holds, until it is too old to judge by."""

    def __init__(self, database: Database, activated: str, policy: Policy, stale_seconds: float) -> None:
        """`activated` is the id in the record, which an older version of the house may have computed otherwise."""
        self._database = database
        self._stale_seconds = stale_seconds
        self._activated = activated
        self._current = policy
        self._seen = time.monotonic()
        self._fresh = True
        _show(policy)

    @classmethod
    async def load(cls, database: Database, stale_seconds: float) -> ActivePolicy:
        """Reads the policy in force; `stale_seconds` is how long it may go unconfirmed before `ready` raises.

        Raises Unavailable while Postgres does not answer, ConfigurationError if none was ever activated or this
        version of the house does not accept the one that was.
        """
        async with database.transaction() as connection:
            activation = await policies.active(connection)
        if activation is None:
            raise ConfigurationError(
                "no policy is in force: run `portcullis policy activate policies/default.yaml`", reason="NO_POLICY"
            )
        try:
            policy = await policies.compiled(activation)
        except PolicyError as error:
            raise ConfigurationError(f"the policy in force is not valid: {error}", reason="POLICY_INVALID") from error
        return cls(database, activation.policy_id, policy, stale_seconds)

    @property
    def current(self) -> Policy:
        """The policy to judge by; raises Unavailable if Postgres has not confirmed it for `stale_seconds`."""
        age = time.monotonic() - self._seen
        if age > self._stale_seconds:
            raise Unavailable(f"the policy was last confirmed {age:.0f} s ago", reason="POLICY_STALE")
        return self._current

    async def ready(self) -> None:
        """Raises Unavailable while there is no policy to judge by."""
        _ = self.current

    async def keep_fresh(self) -> None:
        """Looks every two seconds whether another policy was activated; runs until cancelled."""
        while True:
            await asyncio.sleep(REFRESH_SECONDS)
            try:
                await self._refresh()
            except (Unavailable, PolicyError) as error:
                if self._fresh:
                    log.warning("policy not confirmed", why=error.reason, policy=self._current.id)
                self._fresh = False
            else:
                self._fresh = True

    async def _refresh(self) -> None:
        async with self._database.transaction() as connection:
            activation = await policies.active(connection)
        if activation is None:
            raise Unavailable("the record of activations is gone", reason="NO_POLICY")
        if activation.policy_id != self._activated:
            self._current = await policies.compiled(activation)
            self._activated = activation.policy_id
            log.info("policy activated", policy=self._current.id, name=self._current.document.name)
            _show(self._current)
        self._seen = time.monotonic()


def _show(policy: Policy) -> None:
    telemetry.POLICY.info({"id": policy.id, "name": policy.document.name})
