"""A small image-text head on frozen features, with open_clip's symmetric contrastive loss (Radford et al. 2021, arXiv:2103.00020).

Each picture is paired with one of its captions, drawn anew every step. Pictures that share their caption in a batch are each
other's false negatives; batches are drawn from permutations of distinct pictures, so that is rare.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from open_clip.loss import ClipLoss
from pydantic import BaseModel
from torch import Tensor, nn

from models.bundle import Contents, ContrastiveBundle
from models.perception.contrastive import ContrastiveConfig, ContrastiveHead
from models.text import TextEncoder
from train.objectives.contract import Drawn, LossTerms, ParameterGroup


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


class Contrastive:
    """The contrastive head's objective."""

    columns = ("image_features",)

    def __init__(self, config: ContrastiveObjectiveConfig) -> None:
        self.config = config
        self.head = ContrastiveHead(config.head)
        self._loss = ClipLoss()
        self._pooled: dict[str, Float[Tensor, " k"]] = {}
        self._text: TextEncoder | None = None

    @property
    def network(self) -> nn.Module:
        return self.head

    def groups(self) -> list[ParameterGroup]:
        return [ParameterGroup("adamw", list(self.head.parameters()))]

    def decode(self, record: Mapping[str, object]) -> Float[Tensor, " f"]:
        return torch.tensor(record["image_features"], dtype=torch.float32)

    def prepare(self, targets: Sequence[Tensor]) -> None:
        """Standardise by the statistics of the pictures it is fitted on."""
        self.head.calibrate(torch.stack(list(targets)))

    def learn_texts(self, texts: Sequence[str]) -> None:
        self._pooled_texts(texts)

    def collate(self, drawn: Sequence[Drawn]) -> FeatureBatch:
        texts, noise = [], []
        for sample in drawn:
            generator = torch.Generator().manual_seed(sample.key)
            texts.append(sample.texts[int(torch.randint(len(sample.texts), (), generator=generator))])
            noise.append(torch.randn(sample.target.shape, generator=generator))
        features = torch.stack([sample.target for sample in drawn])
        return FeatureBatch(features, torch.stack(noise), self._pooled_texts(texts))

    def loss(self, batch: FeatureBatch) -> LossTerms:
        images = self.head.encode_images(batch.features, noise=batch.noise)
        texts = self.head.encode_texts(batch.texts)
        loss = self._loss(images, texts, self.head.scale())
        hits = ((images @ texts.T).argmax(1) == torch.arange(len(images))).float().mean()
        return LossTerms(loss, {"contrastive_loss": loss.item(), "batch_r1": hits.item()})

    def finish(self, targets: Sequence[Tensor]) -> None:
        """Nothing is left to do: the statistics were taken before the first step."""

    def export(self) -> tuple[Contents, Mapping[str, Mapping[str, Tensor]]]:
        return ContrastiveBundle(head=self.config.head), {"contrastive": self.head.state_dict()}

    def _pooled_texts(self, texts: Sequence[str]) -> Float[Tensor, "b k"]:
        missing = sorted({text for text in texts if text not in self._pooled})
        if missing:
            self._text = self._text or TextEncoder.load()
            self._pooled.update(zip(missing, self._text.pooled(missing), strict=True))
        return torch.stack([self._pooled[text] for text in texts])
