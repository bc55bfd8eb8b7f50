"""What the loop needs to know of an objective, and what an objective is given."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, NamedTuple, Protocol, TypeVar, runtime_checkable

from jaxtyping import Float
from torch import Tensor, nn

from models.bundle import Contents

B = TypeVar("B")
"""The batch type of an objective."""


class Drawn(NamedTuple):
    """One sample of one step, fetched and keyed."""

    key: int
    """Seeds every random draw made for it."""
    texts: tuple[str, ...]
    """What the model may be told."""
    text_weights: tuple[float, ...]
    """Probability of each text."""
    score_text: str
    """What the target shows."""
    target: Tensor
    """The target picture, as the objective's `decode` gave it."""
    references: tuple[Tensor, ...]

    def told(self, number: float) -> str:
        """The text at `number` in [0, 1) of the cumulated probabilities."""
        reached = 0.0
        for text, weight in zip(self.texts, self.text_weights, strict=True):
            reached += weight
            if number < reached:
                return text
        return self.texts[-1]                                        # probabilities may add up to a little less than 1


class LossTerms(NamedTuple):
    """The loss to descend and what to show beside it."""

    total: Float[Tensor, ""]
    named: Mapping[str, float]
    """Means over the batch, by meter name."""


class ParameterGroup(NamedTuple):
    """Parameters trained alike."""

    kind: Literal["muon", "adamw"]
    parameters: list[nn.Parameter]


@dataclass(frozen=True)
class StepInput(Generic[B]):
    """What one worker trains on in one step."""

    step: int
    batches: list[tuple[float, B]]
    """Per slot of this worker: its share of the step's samples, and the batch."""
    num_samples: int
    """Samples of the step over all workers."""
    wait_s: float
    """How long the loop waited for it."""


@runtime_checkable
class Objective(Protocol[B]):
    """A thing to train: its network, its data and its loss. Pure torch."""

    columns: tuple[str, ...]
    """Columns of ``images`` it reads."""

    @property
    def network(self) -> nn.Module:
        """What is trained, averaged and checkpointed."""
        ...

    def groups(self) -> list[ParameterGroup]:
        """Every trained parameter, once."""
        ...

    def decode(self, record: Mapping[str, object]) -> Tensor:
        """One row's columns as the tensor that batches are made of; kept in memory between steps."""
        ...

    def prepare(self, targets: Iterable[list[Tensor]]) -> None:
        """First look at the training pictures, part by part, before a fresh start (not on resuming)."""
        ...

    def learn_texts(self, texts: Sequence[str]) -> None:
        """Encode every text that will be met, before the first step of this process, so that preparing batches stays light."""
        ...

    def collate(self, drawn: Sequence[Drawn]) -> B:
        """A batch, with every random draw in it made from the samples' keys."""
        ...

    def loss(self, batch: B) -> LossTerms:
        """The loss of a batch, a mean over its samples."""
        ...

    def finish(self, targets: Iterable[list[Tensor]]) -> None:
        """Last touches that look at the training pictures, with averaged weights loaded; called once, at the end."""
        ...

    def export(self) -> tuple[Contents, Mapping[str, Mapping[str, Tensor]]]:
        """What goes into the bundle."""
        ...
