"""How well texts fit pictures: the cosine of the two in a space that they share.

`HeadAlignment` is a fitted contrastive head on frozen features, `ClipAlignment` any model of open_clip whose weights are at hand.
Cosines of different models are different scales; compare within one.

b pictures, each with its text · f features · y, x pixels
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import open_clip
import torch
from jaxtyping import Float32, UInt8
from PIL import Image
from torch.nn import functional as F

from models.minilm import MiniLmEncoder
from models.perception.contrastive import ContrastiveHead

COSINE_DECIMALS = 4
"""Cosines are rounded, so that the last bits of a matrix product, which vary with its shape, do not reach a column."""

Cosines = Float32[np.ndarray, " b"]


class HeadAlignment:
    """By a contrastive head on EfficientNet-lite0 features and MiniLM; reads English."""

    def __init__(self, head: ContrastiveHead, texts: MiniLmEncoder) -> None:
        self._head, self._texts = head, texts

    @torch.inference_mode()
    def cosines(self, features: Float32[np.ndarray, "b f"], texts: Sequence[str]) -> Cosines:
        """Of every picture, by its features, with its own text."""
        images = self._head.encode_images(torch.from_numpy(features.copy()))
        return _rounded((images * self._head.encode_texts(self._texts.pooled(list(texts)))).sum(1))


class ClipAlignment:
    """By a model of open_clip.

    Args:
        name: as open_clip lists it, for example "ViT-B-32"; only models whose tokenizer comes with open_clip.
        weights: a safetensors file; nothing is downloaded, nothing is unpickled.

    Raises:
        ValueError: no such model, a tokenizer that would have to be downloaded, or another kind of file.
    """

    def __init__(self, name: str, weights: Path) -> None:
        check_model(name, weights)
        model, _, view = open_clip.create_model_and_transforms(name, pretrained=str(weights), precision="fp32")
        self._model = cast("open_clip.CLIP", model).eval().requires_grad_(requires_grad=False)
        self._view = cast("Callable[[Image.Image], torch.Tensor]", view)
        self._tokenizer = open_clip.get_tokenizer(name)

    @torch.inference_mode()
    def cosines(self, pictures: Sequence[UInt8[np.ndarray, "_ _ 3"]], texts: Sequence[str]) -> Cosines:
        """Of every picture with its own text."""
        views = torch.stack([self._view(Image.fromarray(one)) for one in pictures])
        images = F.normalize(self._model.encode_image(views), dim=1)
        return _rounded((images * F.normalize(self._model.encode_text(self._tokenizer(list(texts))), dim=1)).sum(1))


def check_model(name: str, weights: Path) -> None:
    """Raise ValueError when open_clip cannot make the model from these alone."""
    config = open_clip.get_model_config(name)
    if config is None:
        raise ValueError(f"open_clip has no model {name!r}; open_clip.list_models() gives those that it has, as ViT-B-32")
    if config["text_cfg"].get("hf_tokenizer_name"):
        raise ValueError(f"the tokenizer of {name!r} would be downloaded; choose a model with open_clip's own, as ViT-B-32")
    if weights.suffix != ".safetensors" or not weights.is_file():
        raise ValueError(f"{weights} is no safetensors file; give the model's open_clip_model.safetensors")


def _rounded(cosines: torch.Tensor) -> Cosines:
    return np.round(cosines.float().numpy(), COSINE_DECIMALS)
