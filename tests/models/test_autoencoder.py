"""The autoencoder's sizes, statistics and refusals."""

import pytest
import torch

from models.autoencoder import Autoencoder, AutoencoderConfig, f8, f16, f32, f64, fold, match_channels, slim, unfold

CONFIG = AutoencoderConfig(
    patch=2, widths=(16, 32), encoder_blocks=(1, 1), decoder_blocks=(1, 1), latent_channels=5, retouch_width=4,
)


def test_a_latent_cell_stands_for_a_square_of_the_factor() -> None:
    autoencoder = Autoencoder(CONFIG)
    assert CONFIG.factor == 4
    latents = autoencoder.encode(torch.rand(2, 3, 16, 24))
    assert latents.shape == (2, 5, 4, 6)
    assert autoencoder.decode(latents).shape == (2, 3, 16, 24)


def test_latents_of_the_pictures_the_statistics_came_from_are_normalised() -> None:
    torch.manual_seed(0)
    autoencoder, pictures = Autoencoder(CONFIG), torch.rand(32, 3, 16, 16)
    autoencoder.take_statistics(autoencoder.raw_latent(pictures))
    latents = autoencoder.encode(pictures)
    torch.testing.assert_close(latents.mean((0, 2, 3)), torch.zeros(5), atol=1e-4, rtol=0)
    torch.testing.assert_close(latents.std((0, 2, 3)), torch.ones(5), atol=1e-3, rtol=0)
    torch.testing.assert_close(autoencoder.decode(latents), autoencoder.decode_raw(autoencoder.raw_latent(pictures)).clamp(-1, 1))


def test_a_side_that_is_no_multiple_of_the_factor_is_refused() -> None:
    with pytest.raises(ValueError, match="multiples of 4"):
        Autoencoder(CONFIG).encode(torch.rand(1, 3, 16, 18))


def test_folding_loses_nothing() -> None:
    pixels = torch.randn(2, 3, 4, 6)
    assert torch.equal(unfold(fold(pixels, 2), 2), pixels)


def test_channels_are_averaged_repeated_or_padded_to_fit() -> None:
    x = torch.arange(4.0).reshape(1, 4, 1, 1)
    assert match_channels(x, 2).flatten().tolist() == [0.5, 2.5]
    assert match_channels(x, 8).flatten().tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert match_channels(x, 6).flatten().tolist() == [0, 1, 2, 3, 0, 0]


@pytest.mark.parametrize(("config", "factor", "millions"), [(f8(), 8, 32), (f16(), 16, 93), (f32(), 32, 158), (f64(), 64, 407)])
def test_sizes_have_the_factor_and_the_parameters_they_say(config: AutoencoderConfig, factor: int, millions: int) -> None:
    with torch.device("meta"):
        autoencoder = Autoencoder(config)
    assert config.factor == factor
    assert sum(parameter.numel() for parameter in autoencoder.parameters()) == pytest.approx(millions * 1e6, rel=0.05)


def test_a_slim_decoder_reads_the_same_latents() -> None:
    config = AutoencoderConfig(**{**CONFIG.model_dump(), "decoder_widths": (8, 32)})
    autoencoder = Autoencoder(config)
    autoencoder.encoder.load_state_dict(Autoencoder(CONFIG).encoder.state_dict())
    assert autoencoder.decode(torch.randn(1, 5, 4, 6)).shape == (1, 3, 16, 24)
    assert slim(f32()).decoder_widths == (64, 128, 512, 1024, 1024)
    assert slim(f32()).widths == f32().widths
    assert slim(slim(f32())) == slim(f32())


def test_levels_that_do_not_match_are_refused() -> None:
    with pytest.raises(ValueError, match="must be equally long"):
        AutoencoderConfig(**{**CONFIG.model_dump(), "decoder_widths": (8,)})
