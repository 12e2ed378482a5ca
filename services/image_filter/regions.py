"""Hashes of a picture's regions, which stay where the picture was cropped, framed or covered in part.

A region is the square surroundings of a blob as SIFT finds them, an extremum of the difference of Gaussians in place
and scale (Lowe, "Distinctive Image Features from Scale-Invariant Keypoints", 2004). It moves and grows with what it
shows, so a crop has the same regions as the whole, as long as they lie inside. Each is hashed by itself, as are the
segments of Steinebach, Liu and Yannikos, "Efficient Cropping-Resistant Robust Image Hashing", 2014, but takes in a
quarter of the longer side or more: a small logo or a caption that two pictures share is no region.

The bits are those of the 16 × 16 lowest waves, in the orientation in which the region grows brighter to the right, and
less so downwards: one query does for all 8 orientations.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Bits = NDArray[np.uint8]
Plane = NDArray[Any]  # of floats

MOST_REGIONS = 16

_SIDE = 144  # of the picture in which blobs are looked for, pixels
_FINEST = 2.2  # pixels: the least scale; with less, two pictures under one caption share a region that is all caption
_REACH = 8.0  # half a region's side, in scales of its blob
# Faint blobs and those on edges are welcome: what counts is that a copy has them too.
_CONTRAST, _EDGE = 0.004, 100
_PATCH = 32
_WAVES = range(17)
_SLACK = np.deg2rad(8)  # as far as the way that a region brightens may turn from a copy to the next
# A flat shape on a flat ground is made of few waves, and looks like the next drawing's. Three in four regions of
# drawings are below this, one in seven of photographs; none of them enters a bank.
_LEAST_SPREAD = 0.25

Blobs = NDArray[np.float32]  # (n, 4): strength, x, y, scale


def regions_of(grey: Plane, query: bool) -> Bits:
    """The hashes of a picture's strongest regions, (n, 32) uint8: one for each of at most 16 where it enters a bank.

    For a `query` there are several of a region that brightens almost along its sides or diagonals: whichever
    orientation the bank holds is then among them. What enters a bank must hold more than a flat shape. `grey` is
    (height, width) uint8; a picture with little in it has no regions.
    """
    height, width = grey.shape
    scale = _SIDE / max(height, width)
    size = max(_PATCH, round(width * scale)), max(_PATCH, round(height * scale))
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    plane = cv2.resize(grey, size, interpolation=way).astype(np.float32)
    patches = _patches(plane, _inside(_blobs(plane), plane))
    if not len(patches):
        return np.empty((0, 32), np.uint8)
    transforms = _COSINES @ patches @ _COSINES.T
    if query:
        return _upright(transforms, _SLACK)
    return _upright(transforms[_spread(transforms) >= _LEAST_SPREAD], 0.0)


def _blobs(plane: Plane) -> Blobs:
    """Every blob that is not too fine, once, however many ways it may be taken to lie."""
    finder = cv2.SIFT.create(contrastThreshold=_CONTRAST, edgeThreshold=_EDGE, enable_precise_upscale=True)
    found = finder.detect(np.clip(plane, 0, 255).astype(np.uint8))
    blobs = np.array([(blob.response, *blob.pt, blob.size / 2) for blob in found], np.float32).reshape(-1, 4)
    blobs = blobs[blobs[:, 3] >= _FINEST]
    _, first = np.unique(blobs[:, 1:].round(2), axis=0, return_index=True)
    return np.asarray(blobs[np.sort(first)], np.float32)


def _inside(blobs: Blobs, plane: Plane) -> Blobs:
    """The strongest blobs whose regions lie in the picture."""
    height, width = plane.shape
    _, x, y, scale = blobs.T
    reach = _REACH * scale - 0.5
    inside = blobs[(x >= reach) & (y >= reach) & (x <= width - 1 - reach) & (y <= height - 1 - reach)]
    strongest: Blobs = inside[np.argsort(-inside[:, 0], kind="stable")][:MOST_REGIONS]
    return strongest


def _patches(plane: Plane, blobs: Blobs) -> Plane:
    """The regions of blobs, (n, 32, 32), sampled from a plane that is not much finer than they are."""
    half = cv2.resize(plane, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    patches = []
    for _, x, y, scale in blobs.astype(np.float64):
        step = 2 * _REACH * scale / _PATCH
        source, shrunk = (half, 2) if step > 1.5 else (plane, 1)
        step /= shrunk
        first = [(at + 0.5) / shrunk - 0.5 - step * (_PATCH - 1) / 2 for at in (x, y)]
        grid = np.array([[step, 0, first[0]], [0, step, first[1]]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        patches.append(cv2.warpAffine(source, grid, (_PATCH, _PATCH), flags=flags, borderMode=cv2.BORDER_REFLECT))
    return np.array(patches, np.float32)


def _spread(transforms: Plane) -> Plane:
    """How many of its waves a region is made of, 0 … 1: the participation ratio of their heights."""
    heights = np.abs(transforms[:, 1:, 1:])
    return np.asarray(heights.sum(axis=(1, 2)) ** 2 / np.maximum((heights**2).sum(axis=(1, 2)), 1e-9) / 256)


def _upright(transforms: Plane, slack: float) -> Bits:
    """The bits of each region in the orientations in which it brightens to the right, and less so downwards."""
    views = np.stack(_orientations(transforms, _WAVES), 1)  # (n, 8, 17, 17)
    # The first wave is at its highest at the left and upper edge.
    angles = np.arctan2(-views[:, :, 1, 0], -views[:, :, 0, 1])
    upright = (angles >= -slack) & (angles <= np.pi / 4 + slack)
    chosen = views[upright][:, 1:, 1:]
    medians = np.median(chosen.reshape(-1, 256), axis=1)[:, None, None]
    return np.unique(_pack(list(_above(chosen, medians))), axis=0)


def _cosines(waves: Sequence[int], samples: int) -> NDArray[np.float64]:
    """Rows of the orthonormal cosine transform (type II), (waves, samples)."""
    at = 2 * np.arange(samples) + 1
    angles = np.pi * np.asarray(waves)[:, None] * at / (2 * samples)
    return np.asarray(np.sqrt(2 / samples) * np.cos(angles), np.float64)


def _orientations(transform: Plane, waves: Sequence[int]) -> list[Plane]:
    """The transforms of the 4 turns of a picture and of its mirror image; its own, (…, waves, waves), comes first."""
    mirrored = np.where(np.asarray(waves) % 2, -1, 1).astype(transform.dtype)
    return [
        view * vertical * horizontal
        for view in (transform, transform.swapaxes(-1, -2))
        for vertical in (1, mirrored[:, None])
        for horizontal in (1, mirrored)
    ]


def _above(transform: Plane, limit: Any) -> NDArray[np.bool_]:
    """Which waves are above `limit`."""
    return np.asarray(transform > limit, np.bool_)


def _pack(bits: Sequence[NDArray[np.bool_]]) -> Bits:
    """Hashes, (n, 32) uint8, of n × 256 bits."""
    return np.packbits(np.array(bits, np.bool_).reshape(-1, 256), axis=1)


_COSINES = _cosines(_WAVES, _PATCH).astype(np.float32)
