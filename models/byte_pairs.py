"""A byte-pair vocabulary that is one tensor: it travels in a state dict, needs no file of its own, and knows every text.

Sennrich et al. 2016 (arXiv:1508.07909) over bytes, as in GPT-2: tokens are the 256 bytes and what merging pairs of tokens makes.
So a vocabulary is the list of its merges. Han characters are never merged with each other, so Chinese is read character by
character (by bytes, where a character was not met), and English by frequent words and parts of words. Case is not kept.

Rejected: a unigram vocabulary, whose scores are a second tensor and whose training depends on the order of a hash table.

v tokens of the vocabulary
"""

from collections.abc import Iterable, Sequence

import torch
from jaxtyping import Int
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers
from torch import Tensor

START, MASK = 0, 1
"""Tokens that stand for no bytes: the first of every text, and what hides a token in training."""
NUM_SPECIAL = 2
SMALLEST = NUM_SPECIAL + 256
"""Tokens of a vocabulary without merges."""
NO_MERGE = -1
"""In both places of a row that is not used."""


def learnt_merges(texts: Iterable[str], *, num_tokens: int) -> Int[Tensor, "v 2"]:
    """The merges that shorten these texts most, one row a token behind `SMALLEST`; rows left over hold `NO_MERGE`.

    A text counts as often as it comes. The same texts in the same order give the same merges.
    """
    tokenizer = _tokenizer([], [])
    trainer = trainers.BpeTrainer(
        vocab_size=num_tokens - NUM_SPECIAL, min_frequency=2, initial_alphabet=_BYTES, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    symbols = {symbol: NUM_SPECIAL + place for place, symbol in enumerate(_BYTES)}
    merges = torch.full((num_tokens - SMALLEST, 2), NO_MERGE, dtype=torch.int32)
    found = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    parts = _parts_of(tokenizer)
    for row, symbol in enumerate(symbol for symbol, _ in found if symbol not in symbols):
        left, right = parts[symbol]
        merges[row] = torch.tensor([symbols[left], symbols[right]])
        symbols[symbol] = SMALLEST + row
    return merges


class Words:
    """Cuts texts into tokens by the merges of a vocabulary."""

    def __init__(self, merges: Int[Tensor, "v 2"]) -> None:
        symbols = ["", "", *_BYTES]
        pairs = []
        for left, right in merges.tolist():
            if left == NO_MERGE:
                break
            pairs.append((symbols[left], symbols[right]))
            symbols.append(symbols[left] + symbols[right])
        self._tokenizer = _tokenizer(symbols[NUM_SPECIAL:], pairs)

    def tokens(self, texts: Sequence[str], *, max_tokens: int) -> list[list[int]]:
        """`START` and the tokens of every text, cut at `max_tokens`."""
        found = self._tokenizer.encode_batch(list(texts), add_special_tokens=False)
        return [[START, *(NUM_SPECIAL + each for each in one.ids[: max_tokens - 1])] for one in found]


def _tokenizer(symbols: Sequence[str], pairs: Sequence[tuple[str, str]]) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(vocab={symbol: place for place, symbol in enumerate(symbols)}, merges=list(pairs)))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(r"\p{Han}"), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    return tokenizer


def _parts_of(tokenizer: Tokenizer) -> dict[str, tuple[str, str]]:
    """The two tokens that each merged token is made of; the first merge that makes it counts."""
    import json

    parts: dict[str, tuple[str, str]] = {}
    for left, right in json.loads(tokenizer.to_str())["model"]["merges"]:
        parts.setdefault(left + right, (left, right))
    return parts


def _symbols_of_bytes() -> list[str]:
    """A printable character for every byte, as `ByteLevel` writes them: Latin-1 where it prints, else the next free one."""
    printed = {*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)}
    others = iter(range(256, 512))
    return [chr(byte if byte in printed else next(others)) for byte in range(256)]


_BYTES = _symbols_of_bytes()
