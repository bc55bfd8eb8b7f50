"""What the generator reads texts with: one protocol, a closed set of encoders, and one place where each is made.

* ``minilm``: frozen MiniLM from its package, English.
* ``bilingual``: a small encoder of English and Chinese that is fitted here; its weights travel with the generator.
* ``vlm``: hidden states of a frozen vision-language model at hand, which also looks at reference pictures.

b texts · t tokens of one text · k text width · y, x pixels
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor

from models import bilingual, minilm, vlm
from models.bilingual import BilingualConfig, BilingualEncoder
from models.minilm import MiniLmConfig, MiniLmEncoder
from models.vlm import VlmConfig, VlmEncoder

WEIGHTS = "text"
"""Name of the weights file of an encoder that no package holds."""
ALIGNMENT = "alignment"
"""Name of the weights file of the head that such an encoder was fitted with, in its own bundle."""


@runtime_checkable
class TextEncoder(Protocol):
    """Texts, and pictures where it sees, to states."""

    @property
    def width(self) -> int:
        """Channels of a state."""
        ...

    @property
    def max_tokens(self) -> int:
        """Most states of a text without pictures."""
        ...

    def encode(
        self, texts: Sequence[str], pictures: Sequence[Sequence[Float[Tensor, "3 _ _"]]] | None = None
    ) -> list[Float[Tensor, "t k"]]:
        """One state a token, of every text; at least one, even of an empty text.

        Args:
            pictures: those that each text refers to, in [-1, 1]; looked at by vision-language models only.
        """
        ...


TextEncoderConfig = Annotated[MiniLmConfig | BilingualConfig | VlmConfig, Field(discriminator="kind")]


def carries_weights(config: TextEncoderConfig) -> bool:
    """Whether a bundle must hold the encoder's weights, because no package does."""
    return isinstance(config, BilingualConfig)


def text_width(config: TextEncoderConfig) -> int:
    """Channels of a state, without loading anything."""
    match config:
        case MiniLmConfig():
            return minilm.TEXT_WIDTH
        case BilingualConfig():
            return config.text_width
        case VlmConfig():
            return config.width


def most_tokens(
    config: TextEncoderConfig, num_bytes: Int[np.ndarray, "*b"], num_pictures: Int[np.ndarray, "*b"]
) -> Int[np.ndarray, "*b"]:
    """Tokens of texts of so many UTF-8 bytes that refer to so many pictures, estimated from above without reading them."""
    match config:
        case MiniLmConfig():
            return minilm.most_tokens(num_bytes)
        case BilingualConfig():
            return bilingual.most_tokens(config, num_bytes)
        case VlmConfig():
            return vlm.most_tokens(config, num_bytes, num_pictures)


def build(
    config: TextEncoderConfig, weights: Mapping[str, Tensor] | None = None, *, device: torch.device | None = None
) -> TextEncoder:
    """The encoder, frozen and ready; nothing is downloaded.

    Args:
        weights: of an encoder that `carries_weights`.
        device: where a large one computes; states are on the CPU from any. None for the CPU.

    Raises:
        ImportError: the package with the weights is not installed.
        ValueError: a vision-language model is not at hand, or another than was configured.
    """
    match config:
        case MiniLmConfig():
            return MiniLmEncoder.load()
        case BilingualConfig():
            assert weights is not None, config
            encoder = BilingualEncoder(config)
            encoder.load_state_dict(dict(weights))
            return encoder.eval().requires_grad_(requires_grad=False)
        case VlmConfig():
            return VlmEncoder.load(config, device=device)
