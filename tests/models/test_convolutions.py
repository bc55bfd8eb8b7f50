"""Convolutional layers: shortcuts, norms."""

import torch

from models.convolutions import Down, PixelNorm, ResidualBlock, Up, fold, match_channels, unfold


def test_folding_loses_nothing() -> None:
    pixels = torch.randn(2, 3, 4, 6)
    assert torch.equal(unfold(fold(pixels, 2), 2), pixels)


def test_channels_are_averaged_repeated_or_padded_to_fit() -> None:
    x = torch.arange(4.0).reshape(1, 4, 1, 1)
    assert match_channels(x, 2).flatten().tolist() == [0.5, 2.5]
    assert match_channels(x, 8).flatten().tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert match_channels(x, 6).flatten().tolist() == [0, 1, 2, 3, 0, 0]


def test_the_norm_sees_one_position_at_a_time_in_fp32() -> None:
    norm, x = PixelNorm(8), 100 * torch.randn(2, 8, 3, 5).bfloat16()
    normed = norm(x)
    assert normed.dtype == torch.bfloat16
    torch.testing.assert_close(normed.float().square().mean(1), torch.ones(2, 3, 5), atol=0.02, rtol=0)
    torch.testing.assert_close(norm(x[..., 1:2, 2:3]), normed[..., 1:2, 2:3])


def test_before_training_blocks_change_nothing_and_resampling_has_its_shortcut() -> None:
    x, block, down, up = torch.randn(2, 8, 4, 6), ResidualBlock(8), Down(8, 16), Up(16, 8)
    assert torch.equal(block(x), x)
    for resampling in (down, up):
        resampling.project.weight.data.zero_()
    assert torch.equal(down(x), match_channels(fold(x, 2), 16))
    torch.testing.assert_close(up(down(x)), unfold(match_channels(down(x), 32), 2))
    even = x[..., ::2, ::2].repeat_interleave(2, 2).repeat_interleave(2, 3)
    torch.testing.assert_close(up(down(even)).mean(1), even.mean(1), atol=1e-5, rtol=0)
