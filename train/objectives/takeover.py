"""Going on from the bundle of an autoencoder: all of it, or its encoder with a decoder that begins anew."""

from pathlib import Path

import torch

from models.autoencoder import Autoencoder, AutoencoderConfig
from models.generate import load_autoencoder

_ENCODING = ("patch", "widths", "encoder_blocks", "latent_channels")
"""What latents depend on."""


class UnfitStart(ValueError):
    """The bundle holds an autoencoder of another shape."""


def take_over(autoencoder: Autoencoder, folder: Path) -> None:
    """Give an autoencoder the weights of a bundle; with another decoder, those of the encoder and the latents' statistics.

    Raises:
        UnfitStart: its latents are of another shape.
        BundleError: the folder holds no autoencoder bundle.
    """
    found, contents = load_autoencoder(folder)
    if contents.autoencoder == autoencoder.config:
        autoencoder.load_state_dict(found.state_dict())
        return
    if _encoding(contents.autoencoder) != _encoding(autoencoder.config):
        raise UnfitStart(
            f"start={folder} encodes by {_encoding(contents.autoencoder)}, the objective by {_encoding(autoencoder.config)}; "
            "make them equal (decoders may differ)"
        )
    autoencoder.encoder.load_state_dict(found.encoder.state_dict())
    autoencoder.linear_in.load_state_dict(found.linear_in.state_dict())
    autoencoder.latent_mean.copy_(found.latent_mean)
    autoencoder.latent_std.copy_(found.latent_std)


def stood_still(autoencoder: Autoencoder, folder: Path) -> bool:
    """Whether latents are those of the bundle: nothing that makes them has moved."""
    found, _ = load_autoencoder(folder)
    ours = {**autoencoder.encoder.state_dict(), **autoencoder.linear_in.state_dict(prefix="linear.")}
    theirs = {**found.encoder.state_dict(), **found.linear_in.state_dict(prefix="linear.")}
    return all(torch.equal(tensor.cpu(), theirs[name]) for name, tensor in ours.items())


def _encoding(config: AutoencoderConfig) -> dict[str, object]:
    return {name: getattr(config, name) for name in _ENCODING}
