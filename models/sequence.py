"""Packed sequences: what one forward pass of the transformer reads, whatever the mixture of tasks and sizes.

Each sample is ``[clean: text | reference latents] [noisy: target latents]``. Clean and noisy tokens are packed apart, each
sample behind the other and without padding, because they run through the blocks in two calls (see `models.dit`).

Positions are (image index, y, x): the target is image 0, references are 1, 2, ...; text token k sits at (-1, k, k), off the
image planes and on their diagonal, so that text order is readable and no text position collides with a pixel position.

s samples · t text tokens · k text width · r reference tokens · n clean tokens · m noisy tokens · c latent channels
y, x rows and columns
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor

TEXT_INDEX = -1


class Condition(NamedTuple):
    """What one sample is generated from."""

    text: Float[Tensor, "t k"]
    references: tuple[Float[Tensor, "c _ _"], ...]


class CleanTokens(NamedTuple):
    """The conditions of several samples, packed."""

    text: Float[Tensor, "t k"]
    """All text tokens, sample after sample."""
    references: Float[Tensor, "r c"]
    """All reference tokens, sample after sample."""
    order: Int[Tensor, " n"]
    """Row in cat(text, references) of each packed token: puts every sample's text before its references."""
    positions: Int[Tensor, "n 3"]
    lengths: Int[Tensor, " s"]

    def to(self, device: torch.device) -> "CleanTokens":
        """The same tokens on a device."""
        return CleanTokens(*(tensor.to(device) for tensor in self))


class NoisyTokens(NamedTuple):
    """The latents being denoised, packed."""

    latents: Float[Tensor, "m c"]
    positions: Int[Tensor, "m 3"]
    lengths: Int[Tensor, " s"]

    def to(self, device: torch.device) -> "NoisyTokens":
        """The same tokens on a device."""
        return NoisyTokens(*(tensor.to(device) for tensor in self))


def grid_positions(index: int, height: int, width: int) -> Int[Tensor, "n 3"]:
    """(index, y, x) of every latent cell, row after row."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack([torch.full((height * width,), index), y.flatten(), x.flatten()], dim=1)


def text_positions(num_tokens: int) -> Int[Tensor, "t 3"]:
    """(-1, k, k) of every text token."""
    k = torch.arange(num_tokens)
    return torch.stack([torch.full_like(k, TEXT_INDEX), k, k], dim=1)


def flat(latent: Float[Tensor, "c y x"]) -> Float[Tensor, "n c"]:
    """One token per latent cell, row after row."""
    return rearrange(latent, "c y x -> (y x) c")


def unflat(tokens: Float[Tensor, "n c"], height: int, width: int) -> Float[Tensor, "c y x"]:
    """The inverse of `flat`."""
    return rearrange(tokens, "(y x) c -> c y x", y=height, x=width)


def pack_clean(conditions: Sequence[Condition], *, latent_channels: int) -> CleanTokens:
    """Pack texts and references of several samples; a sample may have no references."""
    text = torch.cat([condition.text for condition in conditions])
    reference_tokens = [flat(latent) for condition in conditions for latent in condition.references]
    references = torch.cat(reference_tokens) if reference_tokens else text.new_zeros(0, latent_channels)
    order, positions, lengths = [], [], []
    next_text, next_reference = 0, len(text)
    for condition in conditions:
        num_text = len(condition.text)
        sizes = [(latent.shape[1], latent.shape[2]) for latent in condition.references]
        num_reference = sum(height * width for height, width in sizes)
        order += [torch.arange(next_text, next_text + num_text), torch.arange(next_reference, next_reference + num_reference)]
        positions.append(text_positions(num_text))
        positions += [grid_positions(index, *size) for index, size in enumerate(sizes, start=1)]
        lengths.append(num_text + num_reference)
        next_text, next_reference = next_text + num_text, next_reference + num_reference
    return CleanTokens(text, references, torch.cat(order), torch.cat(positions), torch.tensor(lengths))


def pack_noisy(latents: Sequence[Float[Tensor, "c _ _"]]) -> NoisyTokens:
    """Pack the target latents of several samples."""
    return NoisyTokens(
        latents=torch.cat([flat(latent) for latent in latents]),
        positions=torch.cat([grid_positions(0, latent.shape[1], latent.shape[2]) for latent in latents]),
        lengths=torch.tensor([latent.shape[1] * latent.shape[2] for latent in latents]),
    )


def unpack_noisy(tokens: Float[Tensor, "m c"], sizes: Sequence[tuple[int, int]]) -> list[Float[Tensor, "c _ _"]]:
    """Cut packed tokens back into latents of the given (height, width)."""
    pieces = tokens.split([height * width for height, width in sizes])
    return [unflat(piece, *size) for piece, size in zip(pieces, sizes, strict=True)]
