"""A recorded mix: requests from a JSONL file, one object a line, with the times at which they came, if they are there.

{"at": 0.0, "kind": "create", "prompt": "a red circle", "account": "user-1"}
{"at": 0.4, "kind": "edit", "prompt": "a green triangle", "image": "scene.png", "mask": "mask.png"}
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from random import Random

from pydantic import BaseModel, ConfigDict, Field, model_validator

from services.commands.load_mix import WITH_PICTURE, WITH_WORDS, Ask, Flavour, Kind, drawn
from services.commands.scan_rows import BadLine, Line
from services.core.errors import InvalidInput


class Row(BaseModel):
    """One line. `at` is in seconds; `image` and `mask` name files from the recording's folder, drawn if left out."""

    model_config = ConfigDict(extra="forbid", strict=True)

    kind: Kind
    at: float | None = Field(None, allow_inf_nan=False)
    account: str = Field("load-recorded", min_length=1, max_length=128)
    flavour: Flavour = "plain"
    prompt: str = ""
    image: str = ""
    mask: str = ""

    @model_validator(mode="after")
    def _words(self) -> Row:
        if self.kind in WITH_WORDS and not self.prompt:
            raise ValueError(f"{self.kind} needs a prompt")
        return self


@dataclass(frozen=True, slots=True)
class Recording:
    """The requests of a file, and when they came; no times where the file has none."""

    asks: tuple[Ask, ...]
    times: tuple[float, ...]


def read(path: Path, random: Random) -> Recording:
    """Reads a recording; raises InvalidInput with the line that is wrong."""
    rows: list[Row] = []
    asks: list[Ask] = []
    ready = drawn(random)
    for number, data in enumerate(path.read_bytes().splitlines(), 1):
        if not data.strip():
            continue
        try:
            row: Row = Line(number, data).parse(Row)
            asks.append(_ask(row, path.parent, ready))
        except (BadLine, OSError) as error:
            raise InvalidInput(f"{path.name}:{number}", str(error)) from None
        rows.append(row)
    if not rows:
        raise InvalidInput(path.name, "holds no request")
    times = [row.at for row in rows if row.at is not None]
    if len(times) not in (0, len(rows)):
        raise InvalidInput(path.name, "some lines say when they came and some do not: all must, or none")
    if times != sorted(times):
        raise InvalidInput(path.name, "the times go back: sort the lines by `at`")
    return Recording(tuple(asks), tuple(times))


def _ask(row: Row, folder: Path, ready: tuple[bytes, bytes]) -> Ask:
    image = mask = b""
    if row.kind in WITH_PICTURE:
        image = (folder / row.image).read_bytes() if row.image else ready[0]
    if row.kind in ("edit", "check_pair"):
        mask = (folder / row.mask).read_bytes() if row.mask else ready[1]
    return Ask(row.kind, row.account, row.flavour, row.prompt, image, mask)
