"""Letters of the text that is to be drawn, byte by byte: word tokens do not say how a word is spelt.

What stands in quotes in a prompt is to be rendered; its UTF-8 bytes go through a few blocks of their own, as in ByT5 (Xue et al.
2021, arXiv:2105.13626) and in Glyph-ByT5 (Liu et al. 2024, arXiv:2403.09622), to one state a byte, in the transformer's width.

g bytes of all samples · s samples · d width of the transformer
"""

import re
from collections.abc import Sequence
from typing import Annotated, NamedTuple

import torch
from annotated_types import Gt
from jaxtyping import Float, Int
from pydantic import BaseModel
from torch import Tensor, nn

from models.spelling import normalised
from models.text_blocks import TextBlock, reading

Positive = Annotated[int, Gt(0)]

MAX_BYTES = 256
"""Longest passage that is spelt: some 250 English letters or 85 Chinese characters, more than pictures hold legibly."""

QUOTE_MARKS = "[\"'“”‘’「」『』«»]"
"""What a text without which asks for nothing to be rendered, as a regular expression."""
_LETTER = r"[A-Za-z0-9\u00c0-\u024f]"
_QUOTES = re.compile(
    "|".join(
        rf"{opening}(?P<q{number}>{inside}){closing}"
        for number, (opening, inside, closing) in enumerate(
            (
                ("“", r"[^“”]+", "”"),
                ("「", r"[^「」]+", "」"),
                ("『", r"[^『』]+", "』"),
                ("«", r"[^«»]+", "»"),
                (r'(?<!\d)"', r'(?!\s)[^"]*[^"\s]', '"'),                       # 5" is a length
                (rf"(?<!{_LETTER})‘", r"(?!\s)[^‘]*?\S", rf"’(?!{_LETTER})"),
                (rf"(?<!{_LETTER})'(?!\s|n'|\d+s\b)", r".*?[^\s']", rf"'(?!{_LETTER})"),  # rock 'n' roll, the '90s
            )
        )
    )
)


class GlyphConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Shape of the encoder of letters."""

    width: Positive
    """Width of the residual stream."""
    depth: Positive
    """Number of blocks."""
    num_heads: Positive
    """Attention heads; divide the width into even parts."""
    ffn_width: Positive
    """Hidden width of the feed-forward."""


class Glyphs(NamedTuple):
    """The letters of several samples, packed."""

    bytes: Int[Tensor, " g"]
    lengths: Int[Tensor, " s"]
    """Bytes of every sample; 0 where nothing is to be rendered."""

    def to(self, device: torch.device) -> "Glyphs":
        """The same letters on a device."""
        return Glyphs(self.bytes.to(device), self.lengths.to(device))


class GlyphEncoder(nn.Module):
    """Bytes to states that the transformer takes beside its text tokens."""

    def __init__(self, config: GlyphConfig, *, into: int) -> None:
        """Take a shape; `into` is the width of the transformer."""
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(256, config.width)
        self.blocks = nn.ModuleList(
            TextBlock(config.width, num_heads=config.num_heads, ffn_width=config.ffn_width) for _ in range(config.depth)
        )
        self.norm_out = nn.RMSNorm(config.width, eps=1e-6)
        self.state_out = nn.Linear(config.width, into)

    def forward(self, bytes: Int[Tensor, " g"], lengths: Int[Tensor, " s"]) -> Float[Tensor, "g d"]:  # noqa: A002  what they are
        """The state of every byte, which depends on its own sample's alone; none where there are none.

        Then a byte is read all the same, and given up: every weight has a gradient on every worker, as sharding needs it.
        """
        num_bytes = len(bytes)
        if not num_bytes:
            bytes, lengths = bytes.new_zeros(1), lengths.new_ones(1)  # noqa: A001  see above
        x = self.embedding(bytes)
        place = reading(lengths[lengths > 0], head_width=self.config.width // self.config.num_heads, like=x)
        for block in self.blocks:
            x = block(x, place)
        return self.state_out(self.norm_out(x))[:num_bytes]


def quoted(text: str, *, max_bytes: int = MAX_BYTES) -> bytes:
    """What the text asks to be rendered: all that stands in quotes, in UTF-8, a line each; b"" when nothing does.

    Quotes are "…", “…”, 「…」, 『…』, «…», ‘…’ and '…'. Single ones count only where they stand apart from letters on their outer
    side, so that "the dog's bowl" asks for nothing. Of different quotes within each other the outermost count. What is longer
    than `max_bytes` is cut behind the last code point that fits whole.
    """
    passages = [match[match.lastgroup or 0].strip() for match in _QUOTES.finditer(normalised(text))]
    encoded = "\n".join(passage for passage in passages if passage).encode()
    return encoded[:max_bytes].decode("utf-8", "ignore").encode() if len(encoded) > max_bytes else encoded


def packed(passages: Sequence[bytes]) -> Glyphs:
    """The passages of several samples, one behind the other."""
    sizes = [len(each) for each in passages]
    return Glyphs(*(torch.tensor(numbers, dtype=torch.long) for numbers in (list(b"".join(passages)), sizes)))
