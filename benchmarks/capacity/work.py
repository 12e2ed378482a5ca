"""CPU seconds of a call by part of the house, for any number and size of pictures, from what was measured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Kind = Literal["create", "variation", "edit", "check_prompt", "check_upload", "inspect", "blocked", "held"]
# What is measured as it is: nothing of it grows with pictures.
PLAIN: tuple[Kind, ...] = ("check_prompt", "check_upload", "inspect", "blocked", "held")
MEASURED_SIDE, SMALL_SIDE = 1024, 256

Seconds = Mapping[str, float]
Costs = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Work:
    """What a call costs each part: `base` once, and for each picture so much and so much a pixel."""

    base: Mapping[str, Seconds]
    picture: Seconds
    pixel: Seconds

    def of_picture(self, part: str, side: int) -> float:
        """CPU seconds of a part for one picture."""
        return self.picture.get(part, 0.0) + self.pixel.get(part, 0.0) * side**2

    def of_call(self, kind: Kind, pictures: int = 0, side: int = 0) -> Counter[str]:
        """CPU seconds of each part for a call that makes so many pictures of `side` × `side` pixels."""
        spent = Counter(dict(self.base[kind]))
        for part in self.picture:
            spent[part] += pictures * self.of_picture(part, side)
        return spent


def learn(cpu: Costs) -> Work:
    """From calls that make 1 and 4 pictures, large and small: three equations for base, picture and pixel."""
    one, four, small = cpu["create 1"], cpu["create 4"], cpu["create 4 of 256"]
    more_pixels = MEASURED_SIDE**2 - SMALL_SIDE**2
    pixel = {part: max(four[part] - small[part], 0) / 4 / more_pixels for part in four}
    each = {part: max(four[part] - one[part], 0) / 3 for part in four}
    picture = {part: max(each[part] - pixel[part] * MEASURED_SIDE**2, 0) for part in four}
    drawn = {part: picture[part] + pixel[part] * MEASURED_SIDE**2 for part in four}

    def without(name: str, pictures: int) -> dict[str, float]:
        return {part: max(used - pictures * drawn[part], 0) for part, used in cpu[name].items()}

    base: dict[str, Seconds] = {kind: cpu[kind] for kind in PLAIN}
    base |= {"create": without("create 1", 1), "variation": without("variation 3", 3), "edit": without("edit 3", 3)}
    return Work(base, picture, pixel)
