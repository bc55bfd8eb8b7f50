"""Tokens are drawn to what a frozen network sees at their place."""

import pytest
import torch

from models.convolutions import fold
from models.perception.perceptual import LiteConfig
from models.repa import Projector, RepaConfig, Teacher, UnfitBlock, alignment, require_block

CONFIG = RepaConfig(backbone=LiteConfig(), patch_px=16, block=1, hidden=8)


@pytest.fixture(scope="module")
def teacher() -> Teacher:
    return Teacher(CONFIG)


def test_every_cell_has_features_of_its_own_picture_in_any_company(teacher: Teacher) -> None:
    pictures = [fold(torch.rand(1, 3, 16 * height, 16 * width) * 2 - 1, 16)[0] for height, width in ((2, 3), (4, 4), (2, 3))]
    together = teacher(pictures)
    assert together.shape == (6 + 16 + 6, teacher.width)
    alone = torch.cat([teacher([picture]) for picture in pictures])
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(together[:6], together[-6:], atol=1e-2)


def test_a_projector_learns_the_features_and_the_teacher_stays_as_it_is(teacher: Teacher) -> None:
    torch.manual_seed(0)
    features = teacher([fold(torch.rand(1, 3, 64, 64) * 2 - 1, 16)[0]])
    tokens, projector = torch.randn(16, 6), Projector(6, 64, teacher.width)
    optimizer = torch.optim.Adam(projector.parameters(), lr=0.01)
    begun = float(alignment(projector(tokens), features).mean().detach())
    for _ in range(60):
        optimizer.zero_grad()
        (-alignment(projector(tokens), features).mean()).backward()
        optimizer.step()
    assert float(alignment(projector(tokens), features).mean().detach()) > max(0.8, begun + 0.3)
    assert not any(parameter.requires_grad for parameter in teacher.parameters())


def test_a_block_that_is_not_there_is_refused() -> None:
    require_block(CONFIG, depth=1)
    with pytest.raises(UnfitBlock, match=r"repa\.block=1, but the transformer has 0 blocks"):
        require_block(CONFIG, depth=0)
