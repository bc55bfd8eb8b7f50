"""A small contrastive head: pictures and captions in one space, on top of frozen encoders.

Both towers are frozen (EfficientNet-lite0 features of the picture, pooled MiniLM of the caption). Learnt are a linear map of the
standardised picture features, a two-layer map of the text and a temperature, as in CLIP (Radford et al. 2021, arXiv:2103.00020).
A hidden layer on the picture side was tried and left out: it cost twice the time and was worse on blurred and noisy pictures.
It scores retrieval on the corpus it was fitted on, so its numbers carry its name and are no "CLIP score".

Gaussian noise of the size of the features' own spread is added while fitting, so that pictures that are nearly right still find
their caption. There is no dropout: the only random draw is the noise, which the caller makes with a generator of its own.

b batch · f picture features (1280) · k text width (384 of MiniLM) · d shared width
"""

import math

import torch
from jaxtyping import Float
from pydantic import BaseModel, Field
from torch import Tensor, nn
from torch.nn import functional as F

from models.minilm import TEXT_WIDTH
from models.perception.efficientnet import FEATURE_DIM

MAX_LOGIT_SCALE = math.log(100.0)
"""CLIP's ceiling on the learnt temperature: cosines are multiplied by at most 100."""

_SMALLEST_SPREAD = 1e-3
"""Features that never move on the corpus are not blown up by the standardisation."""


class ContrastiveConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Shape of the head."""

    width: int = Field(gt=0)
    """Width of the shared space."""
    text_hidden: int = Field(gt=0)
    """Hidden width of the text map."""
    image_noise: float = Field(ge=0)
    """Standard deviation of the noise on standardised picture features while fitting; 1 is the features' own spread."""


class ContrastiveHead(nn.Module):
    """Maps frozen features to unit vectors whose inner product says how well a caption fits a picture."""

    def __init__(self, config: ContrastiveConfig, *, text_width: int = TEXT_WIDTH) -> None:
        """Take a shape; `text_width` is of the encoder whose pooled embeddings it is given, MiniLM's unless told otherwise."""
        super().__init__()
        self.config, self.text_width = config, text_width
        self.image_map = nn.Linear(FEATURE_DIM, config.width)
        self.text_map = nn.Sequential(
            nn.Linear(text_width, config.text_hidden), nn.GELU(), nn.Linear(config.text_hidden, config.width)
        )
        self.log_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))
        self.register_buffer("feature_mean", torch.zeros(FEATURE_DIM))
        self.register_buffer("feature_spread", torch.ones(FEATURE_DIM))

    @torch.no_grad()
    def calibrate(self, features: Float[Tensor, "b f"]) -> None:
        """Take the standardisation from the pictures it will be fitted on; call once, before the first step."""
        self.get_buffer("feature_mean").copy_(features.mean(0))
        self.get_buffer("feature_spread").copy_(features.std(0) + _SMALLEST_SPREAD)

    def encode_images(self, features: Float[Tensor, "b f"], *, noise: Float[Tensor, "b f"] | None = None) -> Float[Tensor, "b d"]:
        """Unit vectors of pictures from their `LiteFeatures`; `noise` is a standard normal draw, scaled by `image_noise` here."""
        standard = (features - self.get_buffer("feature_mean")) / self.get_buffer("feature_spread")
        if noise is not None:
            standard = standard + self.config.image_noise * noise
        return F.normalize(self.image_map(standard), dim=1)

    def encode_texts(self, pooled: Float[Tensor, "b k"]) -> Float[Tensor, "b d"]:
        """Unit vectors of captions from the pooled, length-1 embedding of its text encoder."""
        return F.normalize(self.text_map(pooled * math.sqrt(self.text_width)), dim=1)  # about unit variance a component

    def scale(self) -> Float[Tensor, ""]:
        """What cosines are multiplied by before the softmax, at most 100."""
        return self.log_scale.clamp(max=MAX_LOGIT_SCALE).exp()


def contrastive_loss(images: Float[Tensor, "b d"], texts: Float[Tensor, "b d"], scale: Float[Tensor, ""]) -> Float[Tensor, ""]:
    """Symmetric cross-entropy of every picture among all texts and of every text among all pictures (open_clip's loss)."""
    from open_clip.loss import ClipLoss  # takes seconds to import, and only training needs it

    return ClipLoss()(images, texts, scale)
