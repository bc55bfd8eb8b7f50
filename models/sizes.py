"""Shapes of the transformer, apart from it: arithmetic over shapes needs no networks."""

from typing import Annotated

from annotated_types import Gt
from pydantic import BaseModel

from models.glyphs import GlyphConfig

Positive = Annotated[int, Gt(0)]


class DiTConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Shape of the transformer."""

    width: Positive
    """Width of the residual stream."""
    depth: Positive
    """Number of blocks."""
    num_heads: Positive
    """Query heads."""
    num_kv_heads: Positive
    """Key-value heads; divides num_heads."""
    ffn_width: Positive
    """Hidden width of the feed-forward."""
    latent_channels: Positive
    """Channels of one latent token."""
    text_width: Positive
    """Width of one text state."""
    text_layers: Positive = 1
    """Parts of equal width that a text state is made of (states of several layers), each brought to unit size by itself."""
    rope_axes: tuple[Positive, Positive, Positive]
    """Head channels turned by image index, y and x; even, and together the head width."""
    rope_theta: float = 100.0
    """Base of the rotary frequencies; small, because a picture has few rows."""
    glyphs: GlyphConfig | None = None
    """What reads the letters of text to be rendered (`models.glyphs`); None when words are all that is read."""
    labels: tuple[str, ...] = ()
    """Names of tasks and tags that a picture may bear; each has an embedding that is added to the time's."""
    imitates_guidance: bool = False
    """Whether a guidance weight is an input: of students that need one evaluation for what their teacher takes two for."""

    @property
    def head_width(self) -> int:
        return sum(self.rope_axes)


def micro(*, latent_channels: int, text_width: int, labels: tuple[str, ...] = ()) -> DiTConfig:
    """About 4 M parameters: learns a few hundred concepts on two CPU cores in minutes."""
    return DiTConfig(
        width=256, depth=4, num_heads=4, num_kv_heads=2, ffn_width=768,
        latent_channels=latent_channels, text_width=text_width, rope_axes=(16, 24, 24), labels=labels,
    )  # fmt: skip


def tiny(*, latent_channels: int, text_width: int, labels: tuple[str, ...] = ()) -> DiTConfig:
    """About 6 M parameters: `micro` half as deep again."""
    return DiTConfig(
        width=256, depth=6, num_heads=4, num_kv_heads=2, ffn_width=768,
        latent_channels=latent_channels, text_width=text_width, rope_axes=(16, 24, 24), labels=labels,
    )  # fmt: skip


def small(*, latent_channels: int, text_width: int, labels: tuple[str, ...] = ()) -> DiTConfig:
    """About 16 M parameters: a step over a few thousand tokens takes seconds on two CPU cores."""
    return DiTConfig(
        width=384, depth=8, num_heads=6, num_kv_heads=2, ffn_width=1152,
        latent_channels=latent_channels, text_width=text_width, rope_axes=(16, 24, 24), labels=labels,
    )  # fmt: skip


def base(*, latent_channels: int, text_width: int, labels: tuple[str, ...] = ()) -> DiTConfig:
    """About 1.2 B parameters: trains on one GPU."""
    return DiTConfig(
        width=2048, depth=24, num_heads=16, num_kv_heads=4, ffn_width=5632,
        latent_channels=latent_channels, text_width=text_width, rope_axes=(32, 48, 48), labels=labels,
    )  # fmt: skip


def full(*, latent_channels: int, text_width: int, labels: tuple[str, ...] = ()) -> DiTConfig:
    """About 5.6 B parameters: trains sharded over the GPUs of a node or more."""
    return DiTConfig(
        width=3840, depth=32, num_heads=30, num_kv_heads=10, ffn_width=10240,
        latent_channels=latent_channels, text_width=text_width, rope_axes=(32, 48, 48), labels=labels,
    )  # fmt: skip
