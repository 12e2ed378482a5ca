"""Portcullis: the trust-and-safety layer between a platform and its image generator.

>>> from portcullis import Client
>>> with Client() as client:
...     events = list(client.create_images("a red circle above a blue square", account="user-1"))
"""

from __future__ import annotations

from portcullis.aio import AsyncClient
from portcullis.calls import Event
from portcullis.client import Client
from portcullis.errors import FieldViolation, PortcullisError
from portcullis.profile import Profile, load_profile
from portcullis.review import ReviewClient

__all__ = [
    "AsyncClient",
    "Client",
    "Event",
    "FieldViolation",
    "PortcullisError",
    "Profile",
    "ReviewClient",
    "load_profile",
]
