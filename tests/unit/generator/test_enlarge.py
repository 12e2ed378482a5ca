from __future__ import annotations

import torch

from services.generator.enlarge import enlarge


def test_a_plain_picture_stays_plain() -> None:
    assert torch.allclose(enlarge(torch.full((1, 3, 12, 12), 0.25), 64), torch.tensor(0.25), atol=1e-6)


def test_edges_stay_within_the_colours_and_become_steep() -> None:
    picture = torch.full((1, 3, 16, 16), -0.5)
    picture[..., 8:] = 0.5
    large = enlarge(picture, 128)
    assert large.abs().max() <= 0.5
    between = (large[0, 0, 64].abs() < 0.49).sum()
    assert between <= 4


def test_a_picture_of_the_right_size_is_left_alone() -> None:
    picture = torch.rand(1, 3, 16, 16)
    assert enlarge(picture, 16) is picture
