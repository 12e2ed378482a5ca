"""Templates and what they share. Everything is escaped; a name that is not given is an error."""

from __future__ import annotations

import hashlib
import mimetypes
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from services.core.policy.categories import CATEGORIES
from services.core.store.review_items import ReviewItem
from services.review.console.words import TOASTS, WORDS

HERE = Path(__file__).parent
STATIC = HERE / "static"


def render(template: str, **values: Any) -> str:
    """A template as HTML."""
    return _environment().get_template(template).render(values)


def load() -> None:
    """Compiles all templates: later, the first view of each page would wait for it."""
    for name in _environment().list_templates():
        _environment().get_template(name)


@cache
def asset(name: str) -> tuple[bytes, str]:
    """The bytes and the media type of a file in static/; KeyError where there is none of that name."""
    files = {path.name: path for path in STATIC.iterdir()}
    kind, _ = mimetypes.guess_type(name)
    return files[name].read_bytes(), kind or "application/octet-stream"


@cache
def asset_url(name: str) -> str:
    """Its address, which changes with its bytes, so that browsers may keep it for good."""
    return f"/static/{name}?v={hashlib.sha256(asset(name)[0]).hexdigest()[:16]}"


def moment(value: datetime) -> Markup:
    """A time in UTC, to the minute."""
    utc = value.astimezone(UTC)
    return Markup('<time datetime="{}">{}</time>').format(f"{utc:%Y-%m-%dT%H:%M:%SZ}", f"{utc:%Y-%m-%d %H:%M} UTC")


def span(seconds: float) -> str:
    """A length of time in its largest unit: "5 min", "3 h", "2 d"."""
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size or (unit == "min" and seconds >= size):
            return f"{seconds // size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


def age(value: datetime) -> str:
    """How long ago a time was."""
    return span((datetime.now(UTC) - value).total_seconds())


def covers(category: str) -> str:
    """What a category stands for, in the words that a refused user reads."""
    return CATEGORIES.get(category, category)


def outcome(item: ReviewItem) -> str:
    """What became of a case, in the words of its kind; how it stands where nothing was decided yet."""
    return item.state if item.resolution is None else WORDS[item.kind].said(item.resolution).lower()


def toast(what: str) -> str:
    """What the page before says was done, empty where no page of ours says so."""
    return what if what in TOASTS else ""


def account_path(tenant: str, account: str) -> str:
    """The address of an account's page; browsers resolve the ids "." and "..", so these are asked for by query."""
    if account in (".", ".."):
        return "/accounts?" + urlencode({"tenant": tenant, "account": account})
    return f"/accounts/{quote(tenant, safe='')}/{quote(account, safe='')}"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters.update(moment=moment, age=age, span=span, covers=covers, outcome=outcome, toast=toast)
    environment.globals.update(asset=asset_url, account_path=account_path, words=WORDS)
    return environment
