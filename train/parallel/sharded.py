"""Weights, gradients and optimizer states sharded by FSDP2, over all workers or inside groups that replicate each other.

Weights travel as they are multiplied (bf16 where the run computes in bf16 on a GPU); gradients are reduced in fp32.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import torch
from annotated_types import Gt
from pydantic import BaseModel
from torch import nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard, register_fsdp_forward_method

from train.parallel.initial import materialise
from train.parallel.world import World
from train.precision import Precision


class FsdpConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Sharded: for networks that fit a group of devices."""

    kind: Literal["fsdp"] = "fsdp"
    replicas: Annotated[int, Gt(0)] = 1
    """Groups of workers that each hold all shards (HSDP); 1 shards over all workers."""
    reshard_after_forward: bool = True
    """Give up gathered weights of a block after its forward pass, and gather them again for the backward pass."""


def shard(
    module: nn.Module, blocks: Sequence[nn.Module], names: Mapping[nn.Module, str], config: FsdpConfig, *,
    precision: Precision, world: World, seed: int,
) -> None:  # fmt: skip
    """Draw initial weights block by block and keep this worker's shard of each.

    Raises:
        ValueError: the workers cannot be divided into that many groups.
    """
    travels_in_bf16 = precision == "bf16" and world.device.type == "cuda"
    policy = MixedPrecisionPolicy(
        param_dtype=torch.bfloat16 if travels_in_bf16 else None, reduce_dtype=torch.float32, cast_forward_inputs=False
    )
    require_replicas(config, world.size)
    mesh = _mesh(config.replicas, world)
    for block in blocks:
        materialise(block, names, seed=seed)
        fully_shard(block, mesh=mesh, mp_policy=policy, reshard_after_forward=config.reshard_after_forward)
        for method in getattr(block, "entries", ()):
            register_fsdp_forward_method(block, method)
    materialise(module, names, seed=seed)
    fully_shard(module, mesh=mesh, mp_policy=policy, reshard_after_forward=False)
    for part in module.modules():
        if isinstance(part, FSDPModule):
            part.set_gradient_divide_factor(1.0)                     # the loss is a sum over workers
            part.set_force_sum_reduction_for_comms(True)             # gloo has no scaled sum


def require_replicas(config: FsdpConfig, num_workers: int) -> None:
    """Refuse workers that cannot be divided into that many groups.

    Raises:
        ValueError: they cannot.
    """
    if num_workers % config.replicas:
        raise ValueError(f"parallel.replicas={config.replicas} must divide the {num_workers} workers; change one of them")


def _mesh(replicas: int, world: World) -> DeviceMesh:
    if replicas == 1:
        return init_device_mesh(world.device.type, (world.size,), mesh_dim_names=("shard",))
    return init_device_mesh(world.device.type, (replicas, world.size // replicas), mesh_dim_names=("replicate", "shard"))
