"""An event as the world outside sees it: CloudEvents 1.0 (https://cloudevents.io), no prompts, no pictures."""

from __future__ import annotations

import json

from services.core.store.events import Event

SOURCE = "/portcullis"


def attributes(event: Event) -> dict[str, str]:
    """The context attributes; `tenant` is an extension, and absent where the event is the house's own.

    The `id` stays the same however often the event is told; `time` is RFC 3339 in UTC.
    """
    own = {} if event.tenant is None else {"tenant": event.tenant}
    return {
        "specversion": "1.0",
        "id": str(event.event_id),
        "source": SOURCE,
        "type": event.type,
        "time": event.at.isoformat(),
        "subject": event.subject,
        **own,
    }


def as_json(event: Event) -> str:
    """The whole event in CloudEvents' JSON format."""
    return json.dumps({**attributes(event), "datacontenttype": "application/json", "data": event.data})
