"""What the generator is asked to do, checked; and the digest that names it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from services.core.errors import InvalidInput
from services.core.signals import ModelVersion

Operation = Literal["create", "edit", "variation"]
Rgb = NDArray[np.uint8]

MAX_COUNT: dict[Operation, int] = {"create": 4, "edit": 3, "variation": 3}
MAX_STEPS = 100
MAX_GUIDANCE = 30.0
MAX_SEED = 2**53 - 1 - 4


@dataclass(frozen=True, slots=True)
class Job:
    """One request, all values in range.

    `image` (H, W, 3) and `mask` (H, W; True may change) are there for the operations that take them; picture i is made
    from `seed` + i; `size` is the side of a new picture in pixels (an edit keeps the upload's); `words` is the prompt
    in the model's words, `unwanted` the negative prompt; `guidance` is 0 for the model's own.
    """

    operation: Operation
    words: str
    unwanted: str
    image: Rgb | None
    mask: NDArray[np.bool_] | None
    count: int
    size: int
    steps: int
    seed: int
    guidance: float = 0.0

    def work(self) -> int:
        """Steps times pictures: what a tenant is charged in the line."""
        return self.count * self.steps

    def pixels(self) -> int:
        """Pixels of all its pictures, which are held in memory until the last is done."""
        each = self.size**2 if self.mask is None else self.mask.size
        return self.count * each


@dataclass(frozen=True, slots=True)
class Numbers:
    """What a request says in numbers; 0 stands for the default of size, steps and guidance."""

    count: int
    size: int
    steps: int
    seed: int
    guidance: float

    def completed(self, size: int, steps: int, guidance: float) -> Numbers:
        """The same with the model's own numbers where it leaves them open."""
        return Numbers(self.count, self.size or size, self.steps or steps, self.seed, self.guidance or guidance)


@dataclass(frozen=True, slots=True)
class Rendered:
    """Finished pictures, in order, and how they were made. `guidance` is 1 where they were not guided.

    `cut` are words of the prompt beyond what the model reads.
    """

    pictures: list[Rgb]
    steps: int
    guidance: float
    scheduler: str
    cut: tuple[str, ...] = ()


def check_model(wanted: str, loaded: ModelVersion) -> None:
    """Raises InvalidInput unless the loaded model, if any is named, is the one that is wanted."""
    if wanted not in ("", loaded.name, f"{loaded.name}/{loaded.version}"):
        raise InvalidInput("model", f"is not loaded here; {loaded.name}/{loaded.version} is")


def check_numbers(operation: Operation, numbers: Numbers, sizes: tuple[int, ...]) -> None:
    """Raises InvalidInput that names the first field out of range."""
    if not 1 <= numbers.count <= MAX_COUNT[operation]:
        raise InvalidInput("count", f"is {numbers.count}; 1 … {MAX_COUNT[operation]} are allowed for this operation")
    if numbers.size and numbers.size not in sizes:
        raise InvalidInput("size", f"is {numbers.size}; this model makes {', '.join(map(str, sizes))}")
    if numbers.steps > MAX_STEPS:
        raise InvalidInput("steps", f"is {numbers.steps}; 1 … {MAX_STEPS} are allowed, 0 for the default")
    if not 0 <= numbers.seed <= MAX_SEED:
        raise InvalidInput("seed", f"must be 0 … {MAX_SEED}")
    if numbers.guidance and not 1 <= numbers.guidance <= MAX_GUIDANCE:  # true of NaN as well
        raise InvalidInput("guidance", f"is {numbers.guidance}; 1 … {MAX_GUIDANCE} are allowed, 0 for the default")


def check_inputs(operation: Operation, prompt: str, negative_prompt: str, image: bytes, mask: bytes) -> None:
    """Raises InvalidInput for what an operation needs and lacks, or must not have."""
    needed: dict[Operation, set[str]] = {
        "create": {"prompt"},
        "edit": {"prompt", "image", "mask"},
        "variation": {"image"},
    }
    given = {"prompt": bool(prompt.strip()), "image": bool(image), "mask": bool(mask)}
    for field, there in given.items():
        if field in needed[operation] and not there:
            raise InvalidInput(field, f"is empty; {operation} needs it")
        if field not in needed[operation] and there:
            raise InvalidInput(field, f"is not used by {operation}; leave it empty")
    if negative_prompt and not prompt:
        raise InvalidInput("negative_prompt", f"is not used by {operation}; leave it empty")


def request_digest(operation: Operation, inputs: dict[str, str], numbers: Numbers, model: ModelVersion) -> str:
    """sha256 in hex over the canonical JSON (sorted keys, no blanks) of what determines the pictures.

    `inputs` maps prompt, negative prompt, image and mask, where given, to their sha256 in hex; of `numbers` all but
    how many pictures were asked for.
    """
    content = {
        "operation": operation,
        "inputs": inputs,
        "size": numbers.size,
        "steps": numbers.steps,
        "seed": numbers.seed,
        "guidance": numbers.guidance,
        "model": {"name": model.name, "version": model.version, "digest": model.digest},
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
