"""A small image-text head on frozen features, with open_clip's contrastive loss (Radford et al. 2021, arXiv:2103.00020).

What a picture shows is paired with one of its captions, drawn anew every step: for an edit or a composition that is the
caption of the result, never the instruction. Every picture is seen clean and through blur and noise, so that a generated picture,
which is never exact, still finds its caption. Features of both views are computed once.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from pydantic import BaseModel
from torch import Tensor, nn

from models.bundle import Contents, ContrastiveBundle
from models.context import Context
from models.cost import PER_SAMPLE
from models.minilm import MiniLmEncoder
from models.perception.contrastive import ContrastiveConfig, ContrastiveHead, contrastive_loss
from models.perception.efficientnet import VIEW_PX, LiteFeatures
from models.spelling import has_han
from models.text import TextEncoderConfig
from train.decoding import decode_picture
from train.objectives.contract import MAIN, Drawn, LossTerms, Meter, ParameterGroup, Phase

_TEXTS_AT_ONCE = 64
_BLUR_PX, _NOISE = 0.8, 0.1
"""Standard deviations of the blur, in pixels of the view, and of the noise, on a range of 2."""


class ContrastiveObjectiveConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Training of the contrastive head."""

    kind: Literal["contrastive"] = "contrastive"
    head: ContrastiveConfig
    """Shape of the head."""


class FeatureBatch(NamedTuple):
    """Frozen features of pictures and of one caption each, and noise for the former."""

    features: Float[Tensor, "b f"]
    noise: Float[Tensor, "b f"]
    texts: Float[Tensor, "b k"]


def decode_features(record: Mapping[str, object], *, features: LiteFeatures) -> Float[Tensor, "v f"]:
    """Features of both views of a row's picture."""
    pixels = decode_picture(record, size_px=VIEW_PX).float()
    with torch.inference_mode():
        return features(views(pixels / 127.5 - 1)).clone()


class Contrastive:
    """The contrastive head's objective."""

    columns: tuple[str, ...] = ("image",)
    unit: Literal["noisy tokens", "pictures"] = "pictures"
    text_encoder: TextEncoderConfig | None = None
    max_letters = 0
    phases: tuple[Phase, ...] = (MAIN,)
    cost = PER_SAMPLE
    blocks: Sequence[nn.Module] = ()
    companions: Sequence[nn.Module] = ()

    def __init__(self, config: ContrastiveObjectiveConfig) -> None:
        self.config = config
        self.head = ContrastiveHead(config.head)
        self.decode = partial(decode_features, features=LiteFeatures.load())
        self._pooled: dict[str, Float[Tensor, " k"]] = {}
        self._text: MiniLmEncoder | None = None

    @property
    def network(self) -> nn.Module:
        return self.head

    def groups(self) -> list[ParameterGroup]:
        return [ParameterGroup("adamw", list(self.head.parameters()))]

    def prepare(self, targets: Iterable[list[Tensor]]) -> None:
        """Standardise by the statistics of the pictures it is fitted on."""
        self.head.calibrate(torch.cat([torch.cat(part) for part in targets]))

    def learn_texts(self, texts: Sequence[str]) -> None:
        self._learn([text for text in texts if not has_han(text)])

    def collate(self, drawn: Sequence[Drawn]) -> FeatureBatch:
        texts, features, noise = [], [], []
        for sample in drawn:
            generator = torch.Generator().manual_seed(sample.key)
            text = _in_english(sample).told(float(torch.rand((), generator=generator)))
            texts.append(sample.score_text if sample.references or sample.task == "set" else text)
            features.append(sample.target[int(torch.randint(len(sample.target), (), generator=generator))])
            noise.append(torch.randn(features[-1].shape, generator=generator))
        return FeatureBatch(torch.stack(features), torch.stack(noise), self._pooled_texts(texts))

    def loss(self, batch: FeatureBatch, phase: str, context: Context | None = None) -> LossTerms:  # noqa: ARG002  one phase, no tokens
        images = self.head.encode_images(batch.features, noise=batch.noise)
        texts = self.head.encode_texts(batch.texts)
        loss = contrastive_loss(images, texts, self.head.scale())
        hits = ((images @ texts.T).argmax(1) == torch.arange(len(images), device=images.device)).float().mean()
        return LossTerms(loss, {"batch_r1": Meter.mean(hits, len(images))})

    def finish(self, targets: Iterable[list[Tensor]]) -> None:
        """Nothing is left to do: the statistics were taken before the first step."""

    def export(self) -> tuple[Contents, Mapping[str, Mapping[str, Tensor]]]:
        return ContrastiveBundle(head=self.config.head), {"contrastive": self.head.state_dict()}

    def _pooled_texts(self, texts: Sequence[str]) -> Float[Tensor, "b k"]:
        self._learn(texts)
        return torch.stack([self._pooled[text] for text in texts])

    def _learn(self, texts: Sequence[str]) -> None:
        missing = sorted({text for text in texts if text not in self._pooled}, key=len)  # like lengths pad little
        for start in range(0, len(missing), _TEXTS_AT_ONCE):
            self._text = self._text or MiniLmEncoder.load()
            part = missing[start : start + _TEXTS_AT_ONCE]
            self._pooled.update(zip(part, self._text.pooled(part), strict=True))


def _in_english(sample: Drawn) -> Drawn:
    """The sample without the texts that MiniLM cannot read, which leave their weight to the others."""
    kept = [(text, weight) for text, weight in zip(sample.texts, sample.text_weights, strict=True) if not has_han(text)]
    if not kept:
        return sample._replace(texts=(sample.score_text,), text_weights=(1.0,))
    total = sum(weight for _, weight in kept)
    return sample._replace(texts=tuple(text for text, _ in kept), text_weights=tuple(weight / total for _, weight in kept))


def views(picture: Float[Tensor, "3 y x"]) -> Float[Tensor, "2 3 y x"]:
    """The picture clean, and blurred with noise on top; the noise is the same for every picture."""
    noise = _NOISE * torch.randn(picture.shape, generator=torch.Generator().manual_seed(0))
    return torch.stack([picture, _blurred(picture) + noise]).clamp(-1, 1)


def _blurred(picture: Float[Tensor, "3 y x"]) -> Float[Tensor, "3 y x"]:
    offsets = torch.arange(-2.0, 3.0)
    kernel = torch.exp(-(offsets**2) / (2 * _BLUR_PX**2))
    kernel = kernel / kernel.sum()
    padded = nn.functional.pad(picture[:, None], (2, 2, 2, 2), mode="replicate")
    rows = nn.functional.conv2d(padded, kernel.view(1, 1, 1, 5))
    return nn.functional.conv2d(rows, kernel.view(1, 1, 5, 1))[:, 0]
