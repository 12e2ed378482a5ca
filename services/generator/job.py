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
        """Steps times pictures, the unit of the measured rate."""
        return self.count * self.steps


def check_numbers(operation: Operation, count: int, size: int, steps: int, seed: int, sizes: tuple[int, ...]) -> None:
    """Raises InvalidInput that names the first field out of range; 0 stands for the default of size and steps."""
    if not 1 <= count <= MAX_COUNT[operation]:
        raise InvalidInput("count", f"is {count}; 1 … {MAX_COUNT[operation]} are allowed for this operation")
    if size and size not in sizes:
        raise InvalidInput("size", f"is {size}; this model makes {', '.join(map(str, sizes))}")
    if steps > MAX_STEPS:
        raise InvalidInput("steps", f"is {steps}; 1 … {MAX_STEPS} are allowed, 0 for the default")
    if not 0 <= seed <= MAX_SEED:
        raise InvalidInput("seed", f"must be 0 … {MAX_SEED}")


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


def request_digest(
    operation: Operation, inputs: dict[str, str], size: int, steps: int, seed: int, model: ModelVersion
) -> str:
    """sha256 in hex over the canonical JSON (sorted keys, no blanks) of what determines the pictures.

    `inputs` maps prompt, negative prompt, image and mask, where given, to their sha256 in hex.
    """
    content = {
        "operation": operation,
        "inputs": inputs,
        "size": size,
        "steps": steps,
        "seed": seed,
        "model": {"name": model.name, "version": model.version, "digest": model.digest},
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
