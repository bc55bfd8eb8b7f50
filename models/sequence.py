"""Packed sequences: what one forward pass of the transformer reads, whatever the mixture of tasks and sizes.

Each sample is ``[clean: text | letters | reference latents | earlier targets] [noisy: target latents]``. Clean and noisy tokens
are packed apart, each sample behind the other and without padding, because they run through the blocks in two calls (see
`models.dit`).

A sample's clean tokens are one or more segments: its conditions, then, in a set of several pictures, every target but the last. A
segment sees itself and those before it; the noisy target number k sees the clean segments up to number k, so later pictures of a
set are drawn in sight of earlier ones (as in BAGEL, Deng et al. 2025, arXiv:2505.14683, section 2).

Positions are (image index, y, x): the target is image 0, references are 1, 2, ..., and targets after the first go on from there;
text token k sits at (-1, k, k), off the image planes and on their diagonal, so that text order is readable and no text position
collides with a pixel position. Letters go on where the text ends.

s samples · g segments · t text tokens · k text width · r latent tokens · n clean tokens · m noisy tokens · c latent channels
v noisy targets · l labels · y, x rows and columns
"""

from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor

from models.glyphs import Glyphs, packed

TEXT_INDEX = -1


class Condition(NamedTuple):
    """What one sample is generated from."""

    text: Float[Tensor, "t k"]
    references: tuple[Float[Tensor, "c _ _"], ...]
    earlier: tuple[Float[Tensor, "c _ _"], ...] = ()
    """Targets of a set that are seen by those after them: all but the last."""
    letters: bytes = b""
    """Text to be rendered (`models.glyphs.quoted`); for transformers that read letters."""


class CleanTokens(NamedTuple):
    """The conditions of several samples, packed."""

    text: Float[Tensor, "t k"]
    """All text tokens, sample after sample."""
    glyphs: Glyphs
    """All letters, sample after sample."""
    latents: Float[Tensor, "r c"]
    """All tokens of references and of earlier targets, sample after sample."""
    order: Int[Tensor, " n"]
    """Row in cat(text, letters, latents) of each packed token: puts a sample's text before its letters, and its latents last."""
    positions: Int[Tensor, "n 3"]
    lengths: Int[Tensor, " g"]
    """Tokens of every segment."""
    first: Int[Tensor, " g"]
    """Where the tokens that a segment sees begin: with its sample."""
    seen: Int[Tensor, " g"]
    """How many they are: up to the segment's end."""

    def to(self, device: torch.device) -> "CleanTokens":
        """The same tokens on a device."""
        return CleanTokens(
            self.text.to(device), self.glyphs.to(device), self.latents.to(device), self.order.to(device),
            self.positions.to(device), self.lengths.to(device), self.first.to(device), self.seen.to(device),
        )  # fmt: skip


class NoisyTokens(NamedTuple):
    """The latents being denoised, packed."""

    latents: Float[Tensor, "m c"]
    positions: Int[Tensor, "m 3"]
    lengths: Int[Tensor, " v"]

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
    """Pack texts, references and earlier targets of several samples; a sample may have none of the latter two."""
    text = torch.cat([condition.text for condition in conditions])
    latents = [flat(latent) for condition in conditions for latent in (*condition.references, *condition.earlier)]
    glyphs = packed([condition.letters for condition in conditions])
    order, positions, lengths, first, begin = [], [], [], [], 0
    kinds = [0, len(text), len(text) + len(glyphs.bytes)]            # where each kind goes on
    for condition in conditions:
        cells = [latent[0].numel() for latent in (*condition.references, *condition.earlier)]
        counts = [len(condition.text), len(condition.letters), sum(cells)]
        order += [torch.arange(at, at + count) for at, count in zip(kinds, counts, strict=True)]
        positions += [text_positions(counts[0] + counts[1]), *_image_positions(condition)]
        segments = [counts[0] + counts[1] + sum(cells[: len(condition.references)]), *cells[len(condition.references) :]]
        lengths += segments
        first += [begin] * len(segments)
        kinds, begin = [at + count for at, count in zip(kinds, counts, strict=True)], begin + sum(counts)
    ends, starts = torch.tensor(list(accumulate(lengths))), torch.tensor(first)
    return CleanTokens(
        text, glyphs, torch.cat(latents) if latents else text.new_zeros(0, latent_channels), torch.cat(order),
        torch.cat(positions), torch.tensor(lengths), starts, ends - starts,
    )  # fmt: skip


def pack_further(latents: Sequence[Float[Tensor, "c _ _"]], *, indices: Sequence[int], text_width: int) -> CleanTokens:
    """One finished picture of each of several sets, a segment each, to be remembered behind what is known (`DiT.remember`).

    Args:
        indices: image index of every picture (`target_index`).
    """
    noisy = pack_noisy(latents, indices=indices)
    tokens, lengths = noisy.latents, noisy.lengths
    return CleanTokens(
        tokens.new_zeros(0, text_width), packed([b""] * len(latents)), tokens, torch.arange(len(tokens)), noisy.positions,
        lengths, torch.cumsum(lengths, 0) - lengths, lengths,
    )  # fmt: skip


def _image_positions(condition: Condition) -> list[Int[Tensor, "n 3"]]:
    references = [grid_positions(index, *latent.shape[1:]) for index, latent in enumerate(condition.references, start=1)]
    num_references = len(references)
    earlier = [grid_positions(target_index(n, num_references), *latent.shape[1:]) for n, latent in enumerate(condition.earlier)]
    return references + earlier


def target_index(number: int, num_references: int) -> int:
    """Image index of a target of a set, counted from 0: the first is image 0, the others come after the references."""
    return num_references + number if number else 0


def pack_noisy(latents: Sequence[Float[Tensor, "c _ _"]], *, indices: Sequence[int] = ()) -> NoisyTokens:
    """Pack target latents.

    Args:
        indices: image index of every target (`target_index`); none when all are first ones.
    """
    indices = indices or [0] * len(latents)
    return NoisyTokens(
        latents=torch.cat([flat(latent) for latent in latents]),
        positions=torch.cat([grid_positions(index, *latent.shape[1:]) for index, latent in zip(indices, latents, strict=True)]),
        lengths=torch.tensor([latent[0].numel() for latent in latents]),
    )


def unpack_noisy(tokens: Float[Tensor, "m c"], sizes: Sequence[tuple[int, int]]) -> list[Float[Tensor, "c _ _"]]:
    """Cut packed tokens back into latents of the given (height, width)."""
    pieces = tokens.split([height * width for height, width in sizes])
    return [unflat(piece, *size) for piece, size in zip(pieces, sizes, strict=True)]
