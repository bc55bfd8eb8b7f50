"""The closed set of ways to train one network on many workers."""

from typing import Annotated

from pydantic import Field

from train.objectives.contract import B, Objective
from train.optim import OptimConfig, optimizers
from train.parallel.engine import Engine, LossModule
from train.parallel.initial import materialise, names_of
from train.parallel.memory import MemoryConfig, apply
from train.parallel.native import NativeEngine
from train.parallel.replicated import DdpConfig
from train.parallel.sharded import FsdpConfig, shard
from train.parallel.world import World
from train.parallel.zero import ZeroConfig, ZeroEngine
from train.precision import Precision

ParallelConfig = Annotated[DdpConfig | FsdpConfig | ZeroConfig, Field(discriminator="kind")]


def build(
    config: ParallelConfig, memory: MemoryConfig, objective: Objective[B], *,
    optim: OptimConfig, precision: Precision, world: World, seed: int,
) -> Engine[B]:  # fmt: skip
    """The engine of a configuration, around an objective whose network may still be on the meta device.

    Raises:
        ValueError: the objective or the number of workers does not fit the way chosen.
    """
    names = names_of(objective.network)
    apply(memory, objective.blocks)
    module = LossModule(objective, precision=precision, device=world.device)
    names = {module: "", **names}
    if isinstance(config, FsdpConfig):
        shard(module, objective.blocks, names, config, precision=precision, world=world, seed=seed)
    else:
        materialise(module, names, seed=seed)
    module.to(world.device)
    for companion in objective.companions:
        companion.to(world.device)
    groups = objective.groups()
    built = optimizers(groups, optim)
    match config:
        case DdpConfig() | FsdpConfig():
            return NativeEngine(module, groups, built, clip_norm=optim.clip_norm, is_sharded=isinstance(config, FsdpConfig))
        case ZeroConfig():
            return ZeroEngine(config, module, built, world=world, clip_norm=optim.clip_norm)
