"""The autoencoder's sizes, statistics and refusals."""

import pytest
import torch

from models.autoencoder import Autoencoder, AutoencoderConfig, f8, f16, f32, f64, slim, tiny

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


def thin(config: AutoencoderConfig) -> AutoencoderConfig:
    """The same depths and factor with few channels."""
    widths = tuple(max(4, width // 64) for width in config.widths)
    decoder_widths = config.decoder_widths and tuple(max(4, width // 64) for width in config.decoder_widths)
    changes = {"widths": widths, "decoder_widths": decoder_widths, "latent_channels": 6, "retouch_width": 4}
    return AutoencoderConfig(**{**config.model_dump(), **changes})


def shaken(config: AutoencoderConfig, *, tile_px: int) -> Autoencoder:
    """With weights everywhere: at initialisation residual blocks give nothing, and so would a halo that is too small."""
    torch.manual_seed(0)
    autoencoder = Autoencoder(config, tile_px=tile_px).eval()
    for parameter in autoencoder.parameters():
        parameter.data.add_(torch.randn_like(parameter) * (0.3 / parameter[0].numel() ** 0.5))
    return autoencoder


SHAPES = {
    "f8": f8(), "f16": f16(), "f32": f32(), "f64": f64(), "f32 slim": slim(f32()), "tiny": tiny(),
    "one level": AutoencoderConfig(
        patch=4, widths=(8,), encoder_blocks=(2,), decoder_blocks=(1,), latent_channels=4, retouch_width=4
    ),
}  # fmt: skip


@pytest.mark.parametrize("cells", [(7, 5), (3, 11), (8, 8)], ids=str)
@pytest.mark.parametrize("name", SHAPES)
def test_tiles_and_the_whole_agree(name: str, cells: tuple[int, int]) -> None:
    config = thin(SHAPES[name])
    tiled, whole = (shaken(config, tile_px=config.factor * side) for side in (2, 1000))
    with torch.inference_mode():
        latents = torch.randn(2, config.latent_channels, *cells, generator=torch.Generator().manual_seed(1))
        drawn = whole.decode(latents)
        assert drawn.std() > 0.1
        assert (drawn.abs() < 1).float().mean() > 0.2                # not all of it is clamped
        torch.testing.assert_close(tiled.decode(latents), drawn, atol=1e-4, rtol=0)
        torch.testing.assert_close(tiled.encode(drawn), whole.encode(drawn), atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", SHAPES)
def test_a_halo_is_as_far_as_a_change_is_felt(name: str) -> None:
    """Or a cell farther, where what is felt at the very end is lost in rounding."""
    config = thin(SHAPES[name])
    autoencoder, cells = shaken(config, tile_px=1), 5 + 2 * config.decoder_halo
    with torch.inference_mode():
        coarse = autoencoder.decoder.coarse(torch.zeros(1, config.latent_channels, cells, cells))
        latents, scale = torch.zeros(1, config.latent_channels, cells, cells), coarse.shape[2] // cells
        middle, changed = cells // 2, coarse.clone()
        changed[..., middle * scale : (middle + 1) * scale, middle * scale : (middle + 1) * scale] += 1
        felt = (autoencoder._draw(latents, changed) - autoencoder._draw(latents, coarse)).abs().amax((0, 1, 2)) > 0
    rows = felt.nonzero().flatten() // config.factor
    for reached in (int(middle - rows.min()), int(rows.max() - middle)):
        assert config.decoder_halo - 1 <= reached <= config.decoder_halo


def test_what_is_drawn_at_a_place_depends_on_its_neighbourhood_alone() -> None:
    config = thin(f8())
    autoencoder = shaken(config, tile_px=1000)
    latents = torch.randn(1, config.latent_channels, 24, 24, generator=torch.Generator().manual_seed(1))
    other = latents.clone()
    other[..., 20:, 20:] = torch.randn(1, config.latent_channels, 4, 4)
    with torch.inference_mode():
        one, two = autoencoder.decode(latents), autoencoder.decode(other)
    assert torch.equal(one[..., :32, :32], two[..., :32, :32])
    assert not torch.equal(one[..., 160:, 160:], two[..., 160:, 160:])
