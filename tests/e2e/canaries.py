"""Canaries: secrets that are said to a house nowhere else, and every form in which one of them could be found again."""

from __future__ import annotations

import asyncio
import base64
import html
import re
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from io import BytesIO

import httpx
import numpy as np
import pyotp
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from demo.inputs import ALLOWED, BLOCKED, DOUBTFUL, doubtful_photo, mask_of
from demo.running import RunningHouse
from portcullis import Client, PortcullisError, ReviewClient
from portcullis.v1 import gateway_pb2 as api
from portcullis.v1.review_pb2 import ItemState
from services.core.imaging import sanitise
from services.core.store import staff
from services.core.store.database import Database
from services.review.console.door import COOKIE, csrf_of

TEXTS = ("prompt", "negative prompt", "statement", "metadata", "malformed prompt", "unknown name")
ACCOUNT = "account"
PROBE_BYTES = 24


def word() -> str:
    """A word of letters that nothing else is called by; no number, so that no filter takes it for a code."""
    return "zq" + "".join(secrets.choice("bcdfghjklmnpqrstvwxz") for _ in range(18))


@dataclass
class Canaries:
    """What was said, by name; `errors` are the messages of what was refused."""

    texts: dict[str, str] = field(default_factory=lambda: {name: word() for name in (*TEXTS, "reporter", ACCOUNT)})
    pixels: dict[str, list[bytes]] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)

    @cached_property
    def forms(self) -> list[tuple[str, bytes]]:
        """Every name with one of the forms that stand for it."""
        written = [(name, form) for name, text in self.texts.items() for form in forms_of(text.encode())]
        drawn = [(name, form) for name, probes in self.pixels.items() for probe in probes for form in forms_of(probe)]
        return written + drawn

    def found_in(self, data: bytes, allowed: tuple[str, ...] = ()) -> set[str]:
        """The names of those that stand in `data`, but for those `allowed`."""
        return {name for name, form in self.forms if name not in allowed and form in data}


def forms_of(secret: bytes) -> Iterator[bytes]:
    """As it is, in hex, and in base64 at each of the places where it may begin."""
    yield secret
    yield secret.hex().encode()
    yield secret.hex().upper().encode()
    for shift in range(3):
        coded = base64.b64encode(bytes(shift) + secret)
        inner = coded[4 if shift else 0 : len(coded) // 4 * 4 - 4]
        yield inner
        yield inner.translate(bytes.maketrans(b"+/", b"-_"))


def plant(house: RunningHouse, client: Client, desk: ReviewClient) -> Canaries:
    """Says them all: in requests that pass, that are refused, held and malformed, at the desk and in the console."""
    said = Canaries()
    said.texts |= {"api key": house.profile.api_key, "api key's secret": house.profile.api_key.rpartition("_")[2]}
    upload = _upload(said)
    _ask(said, client, upload)
    _ask_wrongly(said, client, upload)
    claimed = _claim(desk)
    said.texts["claim token"] = claimed
    asyncio.run(_visit_console(said, house))
    return said


def _upload(said: Canaries) -> bytes:
    """A photograph with noise in a corner, which no compression hides, and metadata of every kind that PNG has."""
    with Image.open(BytesIO(doubtful_photo())) as opened:
        pixels = np.array(opened.convert("RGB"))
    noise = np.frombuffer(secrets.token_bytes(96 * 96 * 3), np.uint8).reshape(96, 96, 3)
    pixels[:96, :96] = noise
    about, exif = PngInfo(), Image.Exif()
    about.add_text("Comment", said.texts["metadata"])
    about.add_itxt("XML:com.adobe.xmp", f"<x>{said.texts['metadata']}</x>")
    exif[0x010E] = said.texts["metadata"]
    file = BytesIO()
    Image.fromarray(pixels).save(file, "PNG", pnginfo=about, exif=exif)
    sent = file.getvalue()
    kept = sanitise(sent).png
    said.pixels["pixels"] = [noise[row].tobytes()[:PROBE_BYTES] for row in range(0, 96, 16)]
    said.pixels["upload's file"] = _probes(sent)
    said.pixels["sanitised file"] = _probes(kept)
    return sent


def _probes(file: bytes) -> list[bytes]:
    """Pieces of a file's beginning, where its noise is compressed, past the header and its metadata."""
    start = file.index(b"IDAT") + 200
    return [file[place : place + PROBE_BYTES] for place in range(start, start + 4000, 500)]


def _ask(said: Canaries, client: Client, upload: bytes) -> None:
    account, prompt, negative = said.texts[ACCOUNT], said.texts["prompt"], said.texts["negative prompt"]
    shared = secrets.token_bytes(32)
    said.pixels["shared hash"] = [shared]
    client.update_account(account=account, shared_hashes=[shared])
    client.check_prompt(f"{ALLOWED} {prompt}", f"blurry {negative}", account=account)
    client.check_upload(upload, account=account)
    made = [
        event
        for event in client.create_images(f"{ALLOWED} {prompt}", f"blurry {negative}", account=account, count=1, seed=3)
        if isinstance(event, api.Image)
    ]
    said.pixels["output's file"] = _probes(made[0].data)
    refused, *_ = client.create_images(f"{BLOCKED} {prompt}", account=account)
    assert isinstance(refused, api.Accepted)
    client.appeal_decision(refused.decision_id, account=account, statement=said.texts["statement"])
    client.report_image(made[0].data, reporter=said.texts["reporter"], statement=said.texts["statement"])
    list(client.edit_images(f"{DOUBTFUL} {prompt}", upload, mask_of(upload), f"blurry {negative}", account=account))


def _ask_wrongly(said: Canaries, client: Client, upload: bytes) -> None:
    """Each is refused as malformed, at another place of the way in."""
    account, wrong, name = said.texts[ACCOUNT], said.texts["malformed prompt"], said.texts["unknown name"]
    half = upload[: len(upload) // 2]
    swapped = upload.replace(said.texts["metadata"].encode(), said.texts["metadata"][::-1].encode())  # checksums fail
    attempts = {
        "control character": lambda: client.check_prompt(f"{wrong}\x01", account=account),
        "too long": lambda: client.check_prompt(wrong * 400, account=account),
        "account": lambda: client.check_prompt(wrong, account=f"ü{wrong}"),
        "request id": lambda: client.check_prompt(wrong, account=account, request_id=wrong),
        "half a file": lambda: client.check_upload(half, account=account),
        "checksums": lambda: client.check_upload(swapped, account=account),
        "inspected": lambda: client.inspect_image(half),
        "decision": lambda: client.get_decision(name),
        "category": lambda: client.report_image(half, reporter=said.texts["reporter"], category=name),
    }
    for wrong_thing, attempt in attempts.items():
        try:
            attempt()
        except PortcullisError as error:
            said.errors[wrong_thing] = f"{error} {vars(error)}"
    assert sorted(attempts.keys() - said.errors.keys()) == []


def _claim(desk: ReviewClient) -> str:
    """Takes a case on lease and gives it back."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for item in desk.list_items(queue="", state=ItemState.ITEM_STATE_QUEUED):
            try:
                claimed = desk.claim_item(item.item_id, queue="")
            except PortcullisError:
                continue
            desk.release_claim(item.item_id, claimed.claim_token, "")
            return claimed.claim_token
        time.sleep(0.2)
    raise TimeoutError("no case came to its queue")


async def _visit_console(said: Canaries, house: RunningHouse) -> None:
    """Somebody is invited, joins, signs in with a wrong and the right password, and looks at the cases."""
    name, password = f"c{secrets.token_hex(4)}", f"{word()} {word()}"
    database = await Database.open((house.home / "postgres.dsn").read_text().strip(), max_size=1)
    async with database.transaction() as conn:
        await staff.add(conn, name, ["analyst"], None, "test")
        invitation = await staff.invite(conn, name, 600, "test")
    await database.close()
    url = (house.home / "console.txt").read_text().partition("/join/")[0]
    said.texts |= {"password": password, "wrong password": word(), "invitation": invitation}
    headers = {"sec-fetch-site": "same-origin", "origin": "null"}
    async with httpx.AsyncClient(base_url=url, headers=headers, follow_redirects=False) as http:
        page = await http.get(f"/join/{invitation}")
        secret = html.unescape(re.search(r'class="key"[^>]*>([^<]+)<', page.text)[1]).replace(" ", "")
        form = {"password": password, "again": password, "code": pyotp.TOTP(secret).now()}
        joined = await http.post(f"/join/{invitation}", data=form)
        recovery = re.findall(r"<li><code>([2-9a-z-]{19})</code>", joined.text)
        assert len(recovery) == 10
        for tried in (said.texts["wrong password"], password):
            answer = await http.post("/login", data={"name": name, "password": tried, "code": recovery[0]})
        token = answer.cookies[COOKIE].strip('"')
        seen = await http.get("/cases", headers={"cookie": f"{COOKIE}={token}"})
        assert seen.status_code == 200
    said.texts |= {
        "second factor": secret,
        "recovery code": recovery[0],
        "unused recovery code": recovery[1],
        "session": token,
        "form's token": csrf_of(token),
    }
