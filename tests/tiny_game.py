"""A network of two phases small enough to train in milliseconds."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from models.bundle import Contents
from models.context import Context
from models.cost import PER_SAMPLE
from models.text import TextEncoderConfig
from train.guard import Guard, GuardConfig
from train.objectives.contract import Drawn, LossTerms, Meter, ParameterGroup, Phase
from train.optim import OptimConfig
from train.parallel import DdpConfig, MemoryConfig, ParallelConfig, World, build
from train.precision import Precision
from train.schedule import Constant
from train.state import TrainState

DISCRIMINATOR = Phase("discriminator", every_steps=2)
GENERATOR = Phase("generator")


class Game:
    """A generator moves a number towards what a discriminator likes; each has a phase of its own."""

    unit: Literal["noisy tokens", "pictures"] = "pictures"
    text_encoder: TextEncoderConfig | None = None
    max_letters = 0
    columns: tuple[str, ...] = ()
    phases: tuple[Phase, ...] = (DISCRIMINATOR, GENERATOR)
    blocks: Sequence[nn.Module] = ()
    companions: Sequence[nn.Module] = ()
    cost = PER_SAMPLE

    def __init__(self, *, spoilt: str = "") -> None:
        """Args:
        spoilt: a phase whose losses are not numbers.
        """  # fmt: skip
        torch.manual_seed(0)
        self.spoilt = spoilt
        self.network = nn.ModuleDict({"generator": nn.Linear(3, 3), "discriminator": nn.Linear(3, 1)})
        self.phases_run: list[str] = []

    def groups(self) -> list[ParameterGroup]:
        return [
            ParameterGroup("adamw", list(self.network["generator"].parameters()), GENERATOR),
            ParameterGroup("adamw", list(self.network["discriminator"].parameters()), DISCRIMINATOR, rate=0.5),
        ]

    def loss(self, batch: Tensor, phase: str, context: Context | None = None) -> LossTerms:
        self.phases_run.append(phase)
        score = self.network["discriminator"](self.network["generator"](batch))
        aim = float("nan") if phase == self.spoilt else float(phase == "discriminator")
        return LossTerms((score - aim).square().mean(), {"score": Meter.mean(score.mean(), len(batch))})

    def decode(self, record: Mapping[str, object]) -> Tensor:
        return torch.tensor(record["value"])

    def prepare(self, targets: Iterable[list[Tensor]]) -> None:
        """Nothing to look at."""

    def learn_texts(self, texts: Sequence[str]) -> None:
        """No texts."""

    def collate(self, drawn: Sequence[Drawn]) -> Tensor:
        return torch.stack([sample.target for sample in drawn])

    def finish(self, targets: Iterable[list[Tensor]]) -> None:
        """Nothing to look at."""

    def export(self) -> tuple[Contents, Mapping[str, Mapping[str, Tensor]]]:
        raise AssertionError("a game is not exported")


def batch_of(step: int) -> Tensor:
    """What a step trains on."""
    return torch.randn(8, 3, generator=torch.Generator().manual_seed(step))


def state_of(
    game: Game, *, guard: GuardConfig | None = None, parallel: ParallelConfig | None = None, precision: Precision = "fp32"
) -> TrainState[Tensor]:
    """The game under training by one worker."""
    optim = OptimConfig(adamw_lr=0.05, muon_lr=0.1, weight_decay=0.0, schedule=Constant(warmup_steps=0), clip_norm=10.0)
    engine = build(parallel or DdpConfig(), MemoryConfig(), game, optim=optim, precision=precision, world=World(0, 1), seed=0)
    return TrainState(engine, Guard(guard or GuardConfig()), ema_decay=0.9)
