"""A small encoder of English and Chinese texts, fitted here: token states for the transformer and a meaning for comparisons.

Both languages share one byte-pair vocabulary (`models.byte_pairs`) and a few blocks (`models.text_blocks`). Token states are what
the generator reads: one for the beginning of the text, so that an empty text has one, and one for every token, each of unit mean
square. Their mean is the text's meaning; what it is fitted towards is `train.objectives.bilingual`'s business.

n tokens of all texts · s texts · t tokens of one text · k text width · v merges
"""

from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
import torch
from annotated_types import Gt
from jaxtyping import Float, Int
from pydantic import BaseModel, Field
from torch import Tensor, nn
from torch.nn import functional

from models.byte_pairs import NO_MERGE, SMALLEST, Words
from models.spelling import normalised
from models.text_blocks import TextBlock, reading

Positive = Annotated[int, Gt(0)]


class BilingualConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Shape of the encoder."""

    kind: Literal["bilingual"] = "bilingual"
    num_tokens: Annotated[int, Field(gt=SMALLEST)]
    """Tokens of the vocabulary, bytes among them."""
    width: Positive
    """Width of the residual stream."""
    depth: Positive
    """Number of blocks."""
    num_heads: Positive
    """Attention heads; divide the width into even parts."""
    ffn_width: Positive
    """Hidden width of the feed-forward."""
    text_width: Positive
    """Width of a token state."""
    max_tokens: Annotated[int, Gt(1)] = 64
    """Where texts are cut, the beginning counted."""


def small() -> BilingualConfig:
    """About 1.1 M parameters, 2.2 MB in bf16: learns a few thousand captions on two CPU cores in two minutes."""
    return BilingualConfig(num_tokens=4096, width=128, depth=3, num_heads=4, ffn_width=256, text_width=256)


class BilingualEncoder(nn.Module):
    """Texts to token states; a `models.text.TextEncoder`."""

    def __init__(self, config: BilingualConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.num_tokens, config.width)
        self.blocks = nn.ModuleList(
            TextBlock(config.width, num_heads=config.num_heads, ffn_width=config.ffn_width) for _ in range(config.depth)
        )
        self.norm_out = nn.RMSNorm(config.width, eps=1e-6)
        self.state_out = nn.Linear(config.width, config.text_width, bias=False)
        self.register_buffer("merges", torch.full((config.num_tokens - SMALLEST, 2), NO_MERGE, dtype=torch.int32))
        self._words: Words | None = None

    @property
    def width(self) -> int:
        return self.config.text_width

    @property
    def max_tokens(self) -> int:
        return self.config.max_tokens

    def learn_words(self, merges: Int[Tensor, "v 2"]) -> None:
        """Take a vocabulary; before any training, which gives its tokens their meaning."""
        self.get_buffer("merges").copy_(merges)
        self._words = None

    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """The tokens of every text, normalised first."""
        if self._words is None:
            self._words = Words(self.get_buffer("merges").cpu())
        return self._words.tokens([normalised(text) for text in texts], max_tokens=self.config.max_tokens)

    def forward(self, tokens: Int[Tensor, " n"], lengths: Int[Tensor, " s"]) -> Float[Tensor, "n k"]:
        """The states of packed texts, in fp32."""
        x = self.embedding(tokens)
        place = reading(lengths, head_width=self.config.width // self.config.num_heads, like=x)
        for block in self.blocks:
            x = block(x, place)
        return functional.rms_norm(self.state_out(self.norm_out(x)).float(), (self.config.text_width,), eps=1e-6)

    @torch.inference_mode()
    def encode(
        self, texts: Sequence[str], pictures: Sequence[Sequence[Float[Tensor, "3 _ _"]]] | None = None,  # noqa: ARG002  reads words only
    ) -> list[Float[Tensor, "t k"]]:  # fmt: skip
        """The states of every text, on the encoder's device; at most `max_tokens` each, and one of the empty text."""
        if not texts:
            return []
        tokens = self.tokens(texts)
        lengths, device = [len(each) for each in tokens], self.embedding.weight.device
        flat = torch.tensor([token for each in tokens for token in each], device=device)
        return [states.clone() for states in self(flat, torch.tensor(lengths, device=device)).split(lengths)]


def meanings(states: Float[Tensor, "n k"], lengths: Int[Tensor, " s"]) -> Float[Tensor, "s k"]:
    """The mean state of every text."""
    texts = torch.repeat_interleave(torch.arange(len(lengths), device=states.device), lengths)
    return states.new_zeros(len(lengths), states.shape[1]).index_add(0, texts, states) / lengths[:, None]


def most_tokens(config: BilingualConfig, num_bytes: Int[np.ndarray, "*b"]) -> Int[np.ndarray, "*b"]:
    """Tokens of texts of so many UTF-8 bytes, estimated from above without reading them.

    Prose like that which the vocabulary was learnt on takes at most one token for three bytes, beside the beginning and three to
    spare. Characters never met take one a byte.
    """
    return np.minimum(config.max_tokens, 4 - (-num_bytes // 3))
