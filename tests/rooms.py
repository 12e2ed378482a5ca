"""Rooms in tests connect to Postgres as `portcullis up` lets them: each as its own role."""

from __future__ import annotations

from services.core.config import HouseSettings
from services.core.store.roles import dsn_as


def as_room(house: HouseSettings, room: str) -> HouseSettings:
    """The settings of one room: the same house, with the room's own way to Postgres."""
    return house.model_copy(update={"dsn": dsn_as(house.database(), room)})
