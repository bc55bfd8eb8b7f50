"""Which encoder a generator is trained with, and the states of the texts it is trained on."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

import torch
from jaxtyping import Float
from pydantic import BaseModel, Field
from torch import Tensor

from models.bilingual import BilingualConfig
from models.bundle import BundleError, TextBundle, load_tensors, read_manifest
from models.minilm import MiniLmConfig
from models.text import WEIGHTS, TextEncoder, TextEncoderConfig, build
from models.vlm import VlmConfig

_TEXTS_AT_ONCE = 64


class FittedText(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """An encoder that was fitted here; its weights go into the generator's bundle."""

    kind: Literal["fitted"] = "fitted"
    bundle: str
    """Folder of the bundle of `seedbed fit text`."""


TextSource = Annotated[MiniLmConfig | FittedText | VlmConfig, Field(discriminator="kind")]


def config_of(source: TextSource) -> TextEncoderConfig:
    """The shape of the encoder, without its weights.

    Raises:
        BundleError: there is no text bundle at the folder named.
    """
    match source:
        case FittedText():
            return fitted_config(Path(source.bundle))
        case MiniLmConfig() | VlmConfig():
            return source


def parents_of(source: TextSource) -> tuple[str, ...]:
    """Digests of the bundles that the encoder comes from."""
    return (read_manifest(Path(source.bundle)).digest,) if isinstance(source, FittedText) else ()


def fitted_config(folder: Path) -> BilingualConfig:
    """The shape of a fitted encoder.

    Raises:
        BundleError: the folder holds no text bundle.
    """
    contents = read_manifest(folder).contents
    if not isinstance(contents, TextBundle):
        raise BundleError(f"bundle {folder} is of kind {contents.kind!r}, expected 'text'; `seedbed fit text` writes one")
    return contents.encoder


class TextStates:
    """States of texts; those that depend on nothing but the text are kept, so that every text is encoded once."""

    def __init__(self, source: TextSource) -> None:
        self.config = config_of(source)
        self.weights: Mapping[str, Tensor] | None = None
        """Of an encoder that travels in the generator's bundle."""
        if isinstance(source, FittedText):
            self.weights = load_tensors(Path(source.bundle), WEIGHTS)
        self.device = torch.device("cpu")
        """Where an encoder that sees computes; set before it is first asked."""
        self._known: dict[str, Float[Tensor, "t k"]] = {}

    @cached_property
    def encoder(self) -> TextEncoder:
        """Loaded when the first text is met."""
        return build(self.config, self.weights, device=self.device)

    @property
    def sees(self) -> bool:
        """Whether states depend on the pictures that a text refers to."""
        return isinstance(self.config, VlmConfig)

    def learn(self, texts: Sequence[str]) -> None:
        """Encode texts ahead; models whose states are too large to be kept for all of them are loaded alone."""
        if self.sees:
            _ = self.encoder
        else:
            self._with_missing(texts)

    def __call__(
        self, texts: Sequence[str], pictures: Sequence[Sequence[Float[Tensor, "3 _ _"]]]
    ) -> list[Float[Tensor, "t k"]]:
        """The states of the texts, in their order.

        Args:
            pictures: those that each text refers to; only looked at by encoders that see.
        """
        if self.sees:
            return self.encoder.encode(texts, pictures)
        self._with_missing(texts)
        return [self._known[text] for text in texts]

    def _with_missing(self, texts: Sequence[str]) -> None:
        missing = sorted({text for text in texts if text not in self._known}, key=len)  # like lengths pad little
        for start in range(0, len(missing), _TEXTS_AT_ONCE):
            part = missing[start : start + _TEXTS_AT_ONCE]
            self._known.update(zip(part, self.encoder.encode(part), strict=True))
