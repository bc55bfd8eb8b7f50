"""What the loop needs to know of an objective, and what an objective is given."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, NamedTuple, Protocol, TypeVar, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from curation.tasks import Task
from models.bundle import Contents
from models.context import Context
from models.cost import Cost
from models.text import TextEncoderConfig

B = TypeVar("B")
"""The batch type of an objective."""


class Drawn(NamedTuple):
    """One sample of one step, fetched and keyed."""

    key: int
    """Seeds every random draw made for it."""
    task: Task
    texts: tuple[str, ...]
    """What the model may be told."""
    text_weights: tuple[float, ...]
    """Probability of each text."""
    score_text: str
    """What the target shows."""
    target: Tensor
    """The target picture, as the objective's `decode` gave it."""
    references: tuple[Tensor, ...]
    further: tuple[Tensor, ...] = ()
    """Targets after the first, in order."""
    tags: tuple[str, ...] = ()
    """What the target, or the way to it, is labelled with."""

    def told(self, number: float) -> str:
        """The text at `number` in [0, 1) of the cumulated probabilities."""
        reached = 0.0
        for text, weight in zip(self.texts, self.text_weights, strict=True):
            reached += weight
            if number < reached:
                return text
        return self.texts[-1]                                        # probabilities may add up to a little less than 1


@dataclass(frozen=True)
class Meter:
    """A quantity as a sum and a count, so that means over packs and workers are exact."""

    sum: Float[Tensor, ""]
    count: Float[Tensor, ""]

    @classmethod
    def mean(cls, value: Float[Tensor, ""], count: int = 1) -> "Meter":
        """A mean over `count` things."""
        return cls(value.detach() * count, torch.tensor(float(count), device=value.device))


class LossTerms(NamedTuple):
    """The loss to descend and what to show beside it."""

    total: Float[Tensor, ""]
    """Mean over the units of the batch (noisy tokens, or pictures)."""
    meters: Mapping[str, Meter]
    """By name; every batch gives the same names, with a count of 0 where there is nothing of the kind. Detached."""


class Phase(NamedTuple):
    """One of the alternating updates of a step."""

    name: str
    every_steps: int = 1
    """Steps between updates of this phase."""


MAIN = Phase("main")


class ParameterGroup(NamedTuple):
    """Parameters trained alike."""

    kind: Literal["muon", "adamw"]
    parameters: list[nn.Parameter]
    phase: Phase = MAIN
    """The update that moves them; in other phases they stand still and take no gradient."""
    rate: float = 1.0
    """Factor on the optimizer's rate."""


@dataclass(frozen=True)
class PackInput(Generic[B]):
    """One forward and backward pass of one worker, or of the group of workers that shares it."""

    batch: B
    share: float
    """Its units (noisy tokens, or pictures) as a share of the step's, over all workers."""
    sample_ids: tuple[str, ...]
    """What is in it, to be named when it does harm."""
    ranks: range | None = None
    """Workers that share its tokens (context parallelism), None when it is this worker's alone."""

    def is_counted_by(self, rank: int) -> bool:
        """Whether this worker speaks for the pack where each is counted once."""
        return self.ranks is None or self.ranks[0] == rank


@dataclass(frozen=True)
class StepInput(Generic[B]):
    """What one worker trains on in one optimizer step."""

    step: int
    packs: list[PackInput[B]]
    num_rounds: int
    """Most packs any worker has in this step, so that collective calls inside a pass can be matched."""
    num_samples: int
    """Samples of the step over all workers."""
    num_tokens: int
    """Tokens of the step over all workers, clean and noisy."""
    flops: float
    """Operations of the step's forward and backward passes over all workers."""
    wait_s: float
    """How long the loop waited for it."""
    num_bad: int = 0
    """Samples of this worker that are left out because a picture of theirs cannot be decoded."""
    filler: PackInput[B] | None = None
    """The smallest sample so far, alone: what a pass that only the other workers need runs through, without weight."""


@runtime_checkable
class Objective(Protocol[B]):
    """A thing to train: its network, its data and its loss. Pure torch."""

    columns: tuple[str, ...]
    """Columns of ``images`` it reads."""

    unit: Literal["noisy tokens", "pictures"]
    """What its loss is a mean over, and what `max_tokens` of a pack counts (clean tokens beside noisy ones)."""

    @property
    def text_encoder(self) -> TextEncoderConfig | None:
        """What reads the texts whose tokens count as clean ones; None where pictures are counted."""
        ...

    @property
    def max_letters(self) -> int:
        """Most letters of a text that are clean tokens, too, as those of quoted text; 0 where none are."""
        ...

    @property
    def network(self) -> nn.Module:
        """What is trained, averaged and checkpointed."""
        ...

    phases: tuple[Phase, ...]
    """Updates of a step, in order."""

    @property
    def blocks(self) -> Sequence[nn.Module]:
        """Repeated parts of the network, called as modules: the units that are sharded, recomputed and compiled."""
        ...

    @property
    def companions(self) -> Sequence[nn.Module]:
        """Frozen networks that the loss calls: they move to the device of the network and are in no checkpoint."""
        ...

    @property
    def cost(self) -> Cost:
        """Operations of a sample by its units: what slots are balanced by."""
        ...

    def groups(self) -> list[ParameterGroup]:
        """Every trained parameter, once."""
        ...

    def decode(self, record: Mapping[str, object]) -> Tensor:
        """One row's columns as the tensor that batches are made of; kept in memory between steps.

        Lists of floats come as arrays. Sent to other processes, so a function that holds no more than it needs.

        Raises:
            Undecodable: the row holds no picture.
        """
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

    def loss(self, batch: B, phase: str, context: Context | None = None) -> LossTerms:
        """The loss of a batch in a phase, a mean over its units.

        Args:
            context: workers that share the batch, each of which is given all of it, for this worker's part of the mean; only
                objectives that count tokens are given one.
        """
        ...

    def finish(self, targets: Iterable[list[Tensor]]) -> None:
        """Last touches that look at the training pictures, with averaged weights loaded; called once, at the end."""
        ...

    def export(self) -> tuple[Contents, Mapping[str, Mapping[str, Tensor]]]:
        """What goes into the bundle."""
        ...
