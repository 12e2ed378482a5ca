"""The ways to look at a picture: as it lies, then with scale, rotation and tilt undone, where there is reason to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from services.provenance.watermark.code import Floats
from services.provenance.watermark.comb import Pose, poses, undo
from services.provenance.watermark.rectify import Rectifier
from services.provenance.watermark.residual import liveliest, middle
from services.provenance.watermark.tile import SIZE

Effort = Literal["fast", "full"]

SIDE = 512
# Of a larger picture the middle is read: the tile repeats, and a stranger's file must not cost seconds.
_LARGEST = 2048
_POSES = 6
# Deviations. Clean pictures seldom reach 5 over all poses, 4 near life size and upright, or 4 over all tilts.
_LIKELY_POSE, _LIKELY_UPRIGHT, _LIKELY_TILT = 4.6, 4.0, 4.2
_SURE_POSE = 8.0
_UPRIGHT = 0.06


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """A luma plane to look for the tile in.

    `suspected`: it shows a trace of a tile; `unsynchronised`: look without the help of the synchronisation part.
    """

    plane: Floats
    suspected: bool = True
    unsynchronised: bool = False


def views(grey: Floats, effort: Effort) -> Iterator[View]:
    """Cheapest and likeliest first. Ends early where the picture shows no trace of a tile."""
    yield View(middle(grey, SIDE), suspected=False)
    if effort == "fast":
        return
    centre = middle(grey, _LARGEST)
    guesses = poses(liveliest(centre, SIDE), _POSES)
    likely = [pose for pose in guesses if pose.z >= _LIKELY_POSE]
    for pose in likely:
        yield View(undo(centre, pose))
    yield from _tilted(centre, guesses)
    if likely and likely[0].z >= _SURE_POSE:
        yield View(middle(undo(centre, likely[0]), SIDE), unsynchronised=True)


def _tilted(centre: Floats, guesses: list[Pose]) -> Iterator[View]:
    """The picture with a tilt undone, as it lies and in the likeliest pose, where there is a trace of a tile."""
    planes = [(middle(centre, SIDE), any(_upright(pose) and pose.z >= _LIKELY_UPRIGHT for pose in guesses))]
    if guesses[0].z >= _LIKELY_POSE and not _upright(guesses[0]):
        planes.append((middle(undo(centre, guesses[0]), SIDE), guesses[0].z >= _SURE_POSE))
    for plane, suspected in planes:
        if min(plane.shape) < 2 * SIZE:
            continue
        rectifier = Rectifier(plane)
        tilts = rectifier.likely()
        if suspected or tilts[0].z >= _LIKELY_TILT:
            yield View(rectifier.rectified(tilts))


def _upright(pose: Pose) -> bool:
    return abs(pose.scale - 1) < _UPRIGHT and abs(pose.angle) < _UPRIGHT
