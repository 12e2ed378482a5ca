"""One case: why it is here, what it is about for who holds it, and what goes before and beside it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from uuid import UUID

from starlette.responses import Response

from services.core.errors import Aborted, InvalidInput, NotFound, PortcullisError
from services.core.policy.limits import Limit
from services.core.signals import Box, Lineage
from services.core.store import golden, histories, wellness
from services.core.store.review_items import ReviewItem
from services.core.verdicts import Reason
from services.review.console import about, claimed, pictures
from services.review.console.door import Call, Page
from services.review.console.spans import Piece, pieces
from services.review.console.work import needs_rest
from services.review.desk import Form, Part

HISTORY, BESIDE, FAMILY = 12, 8, 12
PICTURES: dict[str, Part] = {"image": "image", "mask": "mask"}


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture of a case: its part, its size in pixels, and the boxes that filters found in it."""

    part: Part
    width: int
    height: int
    boxes: tuple[tuple[Box, str], ...]


@dataclass(frozen=True, slots=True)
class Exhibit:
    """What a case is about, as it is shown: texts in pieces, and which pictures there are. `lost` cannot be read.

    `statements` are what those say who report or appeal.
    """

    prompt: list[Piece]
    negative_prompt: list[Piece]
    pictures: list[Picture]
    statements: list[list[Piece]]
    lost: list[str]

    @property
    def anything(self) -> bool:
        """Whether there is something to show, or to say of it that it cannot be read."""
        return any((self.prompt, self.negative_prompt, self.pictures, self.statements, self.lost))


async def show_case(call: Call) -> Response:
    """The case; its content for who holds it alone."""
    item_id = call.uuid("item")
    sight = await call.console.desk.look(call.person, item_id)
    item = sight.shown.item
    exhibit = await _exhibit(call, item)
    policy = call.console.policy.current
    ancestors = [image for reason in item.reasons for image in _ancestors(reason)]
    sees, rest = call.person.sees(), call.console.settings.rest_minutes * 60
    async with call.console.database.transaction() as conn:
        if exhibit is not None:
            await wellness.at_work(conn, call.person.name, rest)
        origin = await golden.origin(conn, item)
        past = await histories.decisions_of(
            conn, item.tenant, item.account, policy.document.review.seals, sees, HISTORY
        )
        beside = await histories.cases_of(conn, item.tenant, item.account, sees, origin.item_id, BESIDE)
        family = await histories.family_of(conn, item.tenant, origin.decision_id, ancestors, FAMILY)
        seen = await wellness.exposure(conn, call.person.name)
        beyond = await about.about(conn, call, item)
    return call.page(
        "case.html.j2",
        item=item,
        decision_id=origin.decision_id,
        exhibit=exhibit,
        comments=sight.comments,
        others=sight.others,
        limits={reason.category: _limit(call, item, reason) for reason in item.reasons},
        past=past,
        beside=beside,
        family=family,
        about=beyond,
        exposure=seen,
        rest=needs_rest(call, seen),
        queue=call.query("queue", 64),
        done=call.query("done", 36),
        what=call.query("what", 40),
        undo_seconds=call.console.review.undo_seconds,
        claim_seconds=call.console.review.claim_seconds,
        reveal_seconds=call.console.settings.reveal_seconds,
    )


async def show_blurred(call: Call) -> Response:
    """A picture of the case as it leaves the server by default: small, grey, blurred."""
    picture = await _picture(call, _part(call.query("part")), "blurred")
    return Response(await pictures.blurred(picture[1]), media_type="image/png")


async def reveal(call: Call) -> Response:
    """The plain picture, on record, and counted; the page shows it for a moment."""
    item, picture = await _picture(call, _part(call.text("part")), "plain")
    categories = {reason.category for reason in item.reasons}
    async with call.console.database.transaction() as conn:
        await wellness.revealed(conn, call.person.name, item.item_id, categories, sealed=item.sealed)
    return Response(picture, media_type="image/png", headers={"Content-Disposition": "inline"})


async def _picture(call: Call, part: Part, form: Form) -> tuple[ReviewItem, bytes]:
    item_id = call.uuid("item")
    token = claimed.token_of(call, item_id)
    item, content = await call.console.desk.read(call.person, item_id, token, {part}, form)
    picture: bytes = getattr(content, part)
    if not picture:
        raise NotFound("this picture is not there, or cannot be read", reason="EVIDENCE_EXPIRED")
    return item, picture


async def _exhibit(call: Call, item: ReviewItem) -> Exhibit | None:
    """What this person may see of the case, None where they do not hold it in this browser."""
    try:
        token = claimed.token_of(call, item.item_id)
        texts: set[Part] = {"prompt", "negative_prompt", "statements"}
        item, content = await call.console.desk.read(call.person, item.item_id, token, texts, "plain")
    except Aborted:
        return None
    sizes = {part: await _size(call, getattr(item, part)) for part in PICTURES if getattr(item, part) is not None}
    parts = {"prompt": content.prompt, "negative_prompt": content.negative_prompt}
    lost = [part for part, text in parts.items() if getattr(item, part) is not None and not text]
    return Exhibit(
        pieces(content.prompt, item.reasons),
        pieces(content.negative_prompt, item.reasons, negative=True),
        [Picture(PICTURES[part], *size, _boxes(item, part)) for part, size in sizes.items() if size is not None],
        [pieces(statement, ()) for statement in content.statements],
        [*lost, *(part for part, size in sizes.items() if size is None)],
    )


async def _size(call: Call, blob_id: UUID) -> tuple[int, int] | None:
    """A picture's size, None where it cannot be read; nothing of it is shown."""
    try:
        return pictures.size(await asyncio.to_thread(call.console.evidence.get, blob_id))
    except PortcullisError:
        return None


def _boxes(item: ReviewItem, part: str) -> tuple[tuple[Box, str], ...]:
    found = ((box, reason.category) for reason in item.reasons for box in reason.evidence if isinstance(box, Box))
    return tuple(found) if part == "image" else ()


def _ancestors(reason: Reason) -> list[UUID]:
    """Pictures of ours that a filter took the upload for."""
    chains = [evidence.ancestors for evidence in reason.evidence if isinstance(evidence, Lineage)]
    return [UUID(image) for chain in chains for image in chain if _is_uuid(image)]


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


def _limit(call: Call, item: ReviewItem, reason: Reason) -> Limit | None:
    return call.console.policy.current.limits.get((reason.category, item.stage, item.tier))


def _part(name: str) -> Part:
    if name not in PICTURES:
        raise InvalidInput("part", "must be image or mask")
    return PICTURES[name]


PAGES = (
    Page("GET", "/cases/{item}", "review", show_case),
    Page("GET", "/cases/{item}/picture", "review", show_blurred),
    Page("POST", "/cases/{item}/reveal", "review", reveal),
)
