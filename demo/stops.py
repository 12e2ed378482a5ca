"""The stops of the tour. Every line they write comes from an answer of the house; none is known beforehand."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

from demo import inputs
from demo.book import Book
from portcullis import Client, Event, ReviewClient
from portcullis.v1 import gateway_pb2
from portcullis.v1.checks_pb2 import Check, Stage, Timing, Verdict
from portcullis.v1.provenance_pb2 import Inspection, Origin
from portcullis.v1.review_pb2 import ItemState, Resolution, ReviewItem

ACCOUNT = f"visitor-{uuid4().hex[:8]}"  # a tour is refused on purpose: no strikes of an earlier one count
ROUTING_SECONDS = 30.0
SETTLING_SECONDS = 60.0


@dataclass(slots=True)
class Outcome:
    """What a creating call came to."""

    decision_id: str = ""
    images: list[gateway_pb2.Image] = field(default_factory=list[gateway_pb2.Image])
    refused: list[gateway_pb2.Refused] = field(default_factory=list[gateway_pb2.Refused])
    held: list[gateway_pb2.Held] = field(default_factory=list[gateway_pb2.Held])
    timings: list[Timing] = field(default_factory=list[Timing])


class Stops:
    """The tour's stops in order; each uses the client that a platform would use."""

    def __init__(self, book: Book, client: Client, desk: ReviewClient, folder: Path) -> None:
        self._book = book
        self._client = client
        self._desk = desk
        self._folder = folder
        self._released: list[bytes] = []
        self.timings: dict[str, list[float]] = {}

    def allowed(self) -> None:
        """Four pictures of an allowed prompt, each traced back."""
        book = self._book
        book.chapter("A prompt that is fine", "Four pictures, each screened, signed, watermarked and registered.")
        book.say(f"create “{inputs.ALLOWED}”")
        outcome = self._collect(self._client.create_images(inputs.ALLOWED, account=ACCOUNT, seed=7), inputs.ALLOWED)
        book.expect(len(outcome.images) == 4, "four pictures are released")
        for image in outcome.images:
            path = self._folder / f"created-{image.index}.png"
            path.write_bytes(image.data)
            book.picture(f"picture {image.index}, seed {image.seed}", image.data, path)
            inspection = self._client.inspect_image(image.data)
            self._show_inspection(inspection)
            same = inspection.provenance.image_id == image.provenance.image_id
            book.expect(
                inspection.origin == Origin.ORIGIN_OURS_INTACT and same,
                f"picture {image.index} is known as ours, intact",
            )
            self._released.append(image.data)

    def blocked(self) -> None:
        """A prompt against the rules."""
        self._book.chapter("A prompt that is not", "Refused before anything is drawn, with the reason and the words.")
        check = self._check_prompt(inputs.BLOCKED)
        self._book.expect(check.verdict == Verdict.VERDICT_BLOCK, "it is blocked")
        self._book.expect(any(reason.evidence for reason in check.reasons), "a reason points at the words")
        outcome = self._collect(self._client.create_images(inputs.BLOCKED, account=ACCOUNT), inputs.BLOCKED)
        self._book.expect(bool(outcome.refused) and not outcome.images, "asked for pictures, it gets none")

    def obfuscated(self) -> None:
        """The same words, disguised."""
        self._book.chapter(
            "The same words in disguise", "Leet spelling and zero-width marks are read for what they say."
        )
        check = self._check_prompt(inputs.OBFUSCATED)
        self._book.expect(check.verdict != Verdict.VERDICT_ALLOW, "it is not allowed")
        categories = {reason.category for reason in check.reasons}
        self._book.expect("evasion" in categories, "the disguise itself is seen")

    def foreign(self) -> None:
        """A language that the filters were not made for."""
        self._book.chapter("Another language", "What the filters cannot read, they do not pass.")
        check = self._check_prompt(inputs.FOREIGN)
        categories = {reason.category for reason in check.reasons}
        self._book.expect(check.verdict != Verdict.VERDICT_ALLOW, "it is not allowed")
        self._book.expect("language" in categories, "the reason is the language")

    def face(self) -> None:
        """A photograph of a face."""
        book = self._book
        book.chapter("A photograph of a face", "Uploads that show a recognisable person are refused.")
        photo = inputs.face_photo()
        book.picture("the upload", photo)
        book.say("check the upload")
        check = self._client.check_upload(photo, account=ACCOUNT).check
        self._show_check("upload", check)
        book.expect(check.verdict == Verdict.VERDICT_BLOCK, "it is blocked")
        boxes = [e for reason in check.reasons for e in reason.evidence if e.WhichOneof("kind") == "box"]
        book.expect("realistic_face" in {reason.category for reason in check.reasons}, "the reason is the face")
        book.expect(bool(boxes), "a box shows where")

    def pair(self) -> None:
        """Words and a picture that are harmless alone."""
        book = self._book
        book.chapter("Two harmless halves", "Words and picture are each allowed; their sum is for a person to see.")
        photo = inputs.harmless_photo()
        book.picture("the upload", photo)
        book.say(f"edit it: “{inputs.HARMLESS_WORDS}”")
        answer = self._client.check_pair(inputs.HARMLESS_WORDS, photo, inputs.mask_of(photo), account=ACCOUNT)
        self._show_check("the words alone", answer.prompt, inputs.HARMLESS_WORDS)
        self._show_check("the picture alone", answer.upload)
        self._show_check("both together", answer.pair, inputs.HARMLESS_WORDS)
        allowed = answer.prompt.verdict == answer.upload.verdict == Verdict.VERDICT_ALLOW
        book.expect(allowed, "each half alone is allowed")
        book.expect(answer.pair.verdict == Verdict.VERDICT_REVIEW, "together they wait for a person")

    def tampered(self) -> None:
        """One of our pictures, changed by somebody."""
        book = self._book
        book.chapter(
            "A picture that was tampered with", "The manifest is gone and pixels are changed; it is still known."
        )
        forged = inputs.tampered(self._released[0])
        path = self._folder / "tampered.jpg"
        path.write_bytes(forged)
        book.picture("painted over, saved as JPEG", forged, path)
        book.say("inspect it")
        inspection = self._client.inspect_image(forged)
        self._show_inspection(inspection)
        book.expect(
            inspection.origin in (Origin.ORIGIN_OURS_ALTERED, Origin.ORIGIN_OURS_DERIVED),
            "it is known as ours, and as no longer intact",
        )

    def doubtful(self) -> None:
        """A case for a person."""
        book = self._book
        book.chapter("A doubtful case", "Nothing leaves until a person has looked.")
        photo = inputs.doubtful_photo()
        book.picture("the upload", photo)
        decided = False
        while not decided:
            book.say(f"edit it: “{inputs.DOUBTFUL}”")
            outcome = self._collect(
                self._client.edit_images(inputs.DOUBTFUL, photo, inputs.mask_of(photo), account=ACCOUNT),
                inputs.DOUBTFUL,
            )
            book.expect(bool(outcome.held) and not outcome.images, "it is held and no picture leaves")
            decided = all(self._review(held.review_item_id) for held in outcome.held)
            if not decided:  # one in twenty; the tour has one analyst only
                book.fact("drawn for a second look: another person judges it too, without knowing; asking once more")
        self._resume(outcome.decision_id)

    def _review(self, item_id: str) -> bool:
        book = self._book
        book.say("the analyst lists the queue")
        item = self._await_routing(item_id)
        book.expect(item is not None, "the case is in a queue")
        book.say("claims the case")
        claim = self._desk.claim_item(item_id, queue="")
        book.fact(f"claimed by {claim.item.claimed_by}, who now sees: “{claim.content.prompt}”")
        book.expect(bool(claim.content.image), "the analyst sees the picture, decrypted for the claimant alone")
        book.say("and decides: nobody is wronged, it may be made")
        decided = self._desk.decide_item(item_id, claim.claim_token, Resolution.RESOLUTION_RELEASE, "shown on the tour")
        book.fact(f"kept as decision {decided.batch_id}")
        book.expect(bool(decided.batch_id), "the decision is kept")
        return decided.state == ItemState.ITEM_STATE_DECIDED

    def _resume(self, decision_id: str) -> None:
        book = self._book
        book.say("the platform waits until the release can no longer be taken back")
        book.expect(self._await_release(decision_id), "the request may go on")
        book.say("and resumes it")
        outcome = self._collect(self._client.resume_decision(decision_id), inputs.DOUBTFUL)
        book.expect(bool(outcome.images), "the pictures arrive, checked again where no person had looked")
        for image in outcome.images:
            path = self._folder / f"resumed-{image.index}.png"
            path.write_bytes(image.data)
            book.picture(f"released by a person, seed {image.seed}", image.data, path)
        known = [self._client.inspect_image(image.data).provenance.image_id for image in outcome.images]
        book.expect(known == [image.provenance.image_id for image in outcome.images], "each is known as ours")

    def _await_release(self, decision_id: str) -> bool:
        deadline = time.monotonic() + SETTLING_SECONDS
        with self._book.console.status("waiting for the release to settle …"):
            while time.monotonic() < deadline:
                if self._client.get_decision(decision_id).resumable:
                    return True
                time.sleep(0.3)
        return False

    def _await_routing(self, item_id: str) -> ReviewItem | None:
        deadline = time.monotonic() + ROUTING_SECONDS
        while time.monotonic() < deadline:
            for item in self._desk.list_items(queue="", state=ItemState.ITEM_STATE_QUEUED):
                if item.item_id == item_id:
                    self._book.fact(f"{item.item_id} in queue “{item.queue}”, priority {item.priority}")
                    return item
            time.sleep(0.3)
        return None

    def _check_prompt(self, prompt: str) -> Check:
        self._book.say(f"check “{prompt}”")
        check = self._client.check_prompt(prompt, account=ACCOUNT).check
        self._show_check("verdict", check, prompt)
        return check

    def _collect(self, events: Iterator[Event], prompt: str) -> Outcome:
        outcome = Outcome()
        stage = ""
        for event in events:
            match event:
                case gateway_pb2.Accepted():
                    outcome.decision_id = event.decision_id
                    self._book.fact(f"accepted as decision {event.decision_id}")
                case gateway_pb2.Progress() if event.stage != stage:
                    stage = event.stage
                    self._book.fact(f"… {stage}")
                case gateway_pb2.Image():
                    outcome.images.append(event)
                case gateway_pb2.Refused():
                    outcome.refused.append(event)
                    self._book.fact(f"refused at the {_name(event.stage)}")
                    self._book.reasons(event.reasons, prompt)
                case gateway_pb2.Held():
                    outcome.held.append(event)
                    self._book.fact(f"held at the {_name(event.stage)}, review item {event.review_item_id}")
                    self._book.reasons(event.reasons, prompt)
                case gateway_pb2.Done():
                    outcome.timings.extend(event.timings)
        self._note(outcome.timings)
        return outcome

    def _show_check(self, title: str, check: Check, prompt: str = "") -> None:
        self._book.fact(f"{title}: {Verdict.Name(check.verdict).removeprefix('VERDICT_')}")
        self._book.reasons(check.reasons, prompt)
        self._note(check.timings)

    def _show_inspection(self, inspection: Inspection) -> None:
        self._book.fact(Origin.Name(inspection.origin).removeprefix("ORIGIN_").replace("_", " ").lower())
        for finding in inspection.findings:
            self._book.fact(f"  {'✔' if finding.found else '–'} {finding.layer}: {finding.message}")

    def _note(self, timings: Iterable[Timing]) -> None:
        for timing in timings:
            self.timings.setdefault(timing.step, []).append(timing.milliseconds)


def _name(stage: Stage.ValueType) -> str:
    return Stage.Name(stage).removeprefix("STAGE_").lower()
