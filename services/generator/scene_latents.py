"""What the embedded model's latents say: of each position the object in front, the one behind it, the ground.

An object is said by its shape's code (5), its colour's (4), its texture (1), the way to its middle across and down, its
radius; all are zero where there is none. The ground is a code of 5. The codes themselves are training's affair.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

SHAPE, LOOK = 5, 5  # channels of an object's shape; of its colour and texture
SLOT = SHAPE + LOOK + 3  # and of the way to its middle across and down, and its radius
SLOTS, GROUND = 2, 5
LATENTS = SLOTS * SLOT + GROUND
OFFSET, RADIUS, MIDDLING = 6.0, 12.0, 0.24  # so that these channels span as much as the others
STRENGTH = 1.5  # of codes of shape, colour and texture, either way
THINGS = 4  # objects that a picture's embedding tells, at most
ASIDE, LARGE = 0.1875, 0.26  # of the side: as far from the picture's middle is aside; radii of large objects are above
_SHOWN = 0.75  # of a code's channels, from which on it is one
_WIDTHS = (1.0, 0.8, 0.65, 0.65)  # of what is nearly the same, each time that positions agree
_NEAR = 0.8  # from each other, once they have, are those that say the same
_SLANT = 0.3  # of a way across counts as a way down, for the order that one reads in
_APART = 1.5  # middles count so much more, or two things of a kind would become one between them
_SEEN = 3  # positions that an object must be said at to be one


def agreed(latents: Tensor) -> Tensor:
    """What latents (N, 31, S, S) say once all positions that say nearly the same have agreed about it.

    Blurring mean shift (Cheng, "Mean Shift, Mode Seeking, and Clustering", 1995) over what both objects of all
    positions are and where their middles are; over the ground by itself.
    """
    said, _there = _agreed_objects(latents)
    side = latents.shape[-1]
    objects = _spread(said.unflatten(1, (SLOTS, side, side)).movedim(-1, 2)) - _here(latents)
    ground = latents[:, SLOTS * SLOT :].movedim(1, -1).flatten(1, 2)
    ground = _shifted(ground, torch.ones_like(ground[..., 0], dtype=torch.bool))
    return torch.cat([objects.flatten(1, 2), ground.unflatten(1, (side, side)).movedim(-1, 1)], dim=1)


def things(latents: Tensor, width: int) -> Tensor:
    """What latents (N, 31, S, S) show: up to four objects in reading order, the ground, roughly where each object is.

    (N, width), of which 57 are used: the codes (10) of four objects, of the ground (5), four places (3).
    """
    said, left = _agreed_objects(latents)
    alike = torch.cdist(said, said) < _NEAR
    count = (alike & left[:, None]).sum(dim=-1)
    told, order, each = [], [], torch.arange(len(said), device=said.device)
    for _ in range(THINGS):
        best, some = (count * left).argmax(dim=1), left.any(dim=1)
        one = said[each, best]
        told.append(torch.cat([_word(one), _place(one)], dim=1) * some[:, None])
        order.append(torch.where(some, one[:, -2] + _SLANT * one[:, -3], torch.inf))
        left = left & ~alike[each, best]
    read = torch.stack(told, dim=1)[each[:, None], torch.stack(order, dim=1).argsort(dim=1)]
    words, places = read.split((SHAPE + LOOK, 3), dim=-1)
    ground = latents[:, SLOTS * SLOT :].mean(dim=(2, 3))
    all_told = torch.cat([words.flatten(1), ground, places.flatten(1)], dim=1)
    return functional.pad(all_told, (0, width - all_told.shape[1]))


def _word(said: Tensor) -> Tensor:
    """The codes (…, 10) that objects (…, 13) mean: all of ±1.5 but the texture's, which may be 0."""
    codes = STRENGTH * said[..., : SHAPE + LOOK].sign()
    codes[..., -1] = STRENGTH * (said[..., SHAPE + LOOK - 1] / STRENGTH).round().clamp(-1, 1)
    return codes


def _place(said: Tensor) -> Tensor:
    """To which side of the picture's middle objects (…, 13) are, across and down, and whether large, (…, 3)."""
    sides = ((said[..., -3:-1] / OFFSET - 0.5) / ASIDE).round().clamp(-1, 1)
    large = (said[..., -1:] / RADIUS + MIDDLING - LARGE).sign()
    return STRENGTH * torch.cat([sides, large], dim=-1)


def is_object(said: Tensor) -> Tensor:
    """Whether there is an object, (…) of (…, 13)."""
    return said[..., :SHAPE].abs().mean(dim=-1) > _SHOWN


def _agreed_objects(latents: Tensor) -> tuple[Tensor, Tensor]:
    """Both objects of all positions (N, 2·S·S, 13), their middles as places in the picture; which of them there are."""
    said = (latents[:, : SLOTS * SLOT].unflatten(1, (SLOTS, SLOT)) + _here(latents)).movedim(2, -1).flatten(1, 3)
    there = is_object(said)
    weights = torch.ones(SLOT, device=said.device)
    weights[-3:-1] = _APART
    said = _shifted(said * weights, there)
    alike = (torch.cdist(said, said) < _NEAR) & there[:, None]
    there = there & (alike.sum(dim=-1) >= _SEEN)
    return torch.where(there[..., None], said / weights, 0), there


def _here(latents: Tensor) -> Tensor:
    """Where positions are, (13, S, S), to be added to the way from there."""
    side = latents.shape[-1]
    line = (torch.arange(side, device=latents.device) + 0.5) / side * OFFSET
    here = torch.zeros(SLOT, side, side, device=latents.device)
    here[-3], here[-2] = line, line[:, None]
    return here


def _shifted(said: Tensor, there: Tensor) -> Tensor:
    """(N, M, C), each moved to the mean of those near it that are `there` (N, M), some times over."""
    for width in _WIDTHS:
        far = torch.cdist(said, said).square() / (2 * width**2)
        said = torch.softmax(-far.masked_fill(~there[:, None], 1e9), dim=-1) @ said
    return said


def _spread(said: Tensor) -> Tensor:
    """Objects (N, 2, 13, S, S), each also where only a neighbour knows of it: it may reach over a little.

    What lies before this position's front object there does so here; else it goes where there is none yet.
    """
    side = said.shape[-1]
    padded = functional.pad(said, (1, 1, 1, 1))
    shifts = [(1, 1), (0, 1), (1, 0), (1, 2), (2, 1), (0, 0), (0, 2), (2, 0), (2, 2)]
    here, *around = [padded[..., y : y + side, x : x + side].movedim(2, -1) for y, x in shifts]
    front, back = here.unbind(1)
    for before, behind in (neighbour.unbind(1) for neighbour in around):
        covers = (is_object(before) & is_object(front) & ~is_object(back) & _is_same(behind, front))[..., None]
        front, back = torch.where(covers, before, front), torch.where(covers, front, back)
    for known in (slot for neighbour in around for slot in neighbour.unbind(1)):
        there = is_object(known)
        front = torch.where((there & ~is_object(front))[..., None], known, front)
        back = torch.where((there & ~_is_same(known, front) & ~is_object(back))[..., None], known, back)
    return torch.stack([front, back], dim=1).movedim(-1, 2)


def _is_same(one: Tensor, other: Tensor) -> Tensor:
    """Whether objects (…, 13) are the same, (…)."""
    return (one - other).square().sum(dim=-1) <= _NEAR**2
