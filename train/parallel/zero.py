"""DeepSpeed's ZeRO (Rajbhandari et al. 2019, arXiv:1910.02054): optimizer states, gradients and weights partitioned by stage.

DeepSpeed holds flat partitions, so matrices are not seen as matrices: AdamW trains everything. Checkpoints are written in the
form of the other engines, whole tensors by name, gathered one by one; so a run may go on under another engine or stage.
DeepSpeed changes weights and gradient in one call, so a step that strikes cannot be left untaken: the run goes back at once.
"""

import importlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import Generic, Literal, Protocol, cast, runtime_checkable

import torch
from pydantic import BaseModel
from torch import Tensor, nn
from torch.optim import Optimizer

from models.context import Context
from train.objectives.contract import B, LossTerms
from train.optim import set_rates
from train.parallel.engine import Checkpointed, LossModule, OptimizerState, Tensors
from train.parallel.world import World

_STATES = ("exp_avg", "exp_avg_sq")
_PERSISTENT_ELEMENTS = 200_000
"""Parameters up to this size stay whole at stage 3: those that modules read outside of a module call are smaller."""


class ZeroConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Partitioned by DeepSpeed."""

    kind: Literal["deepspeed"] = "deepspeed"
    stage: Literal[1, 2, 3]
    """1: optimizer states; 2: gradients too; 3: weights too."""
    offload: bool = False
    """Keep optimizer states, and weights at stage 3, in the host's memory."""


@runtime_checkable
class _Partitioned(Protocol):
    """What DeepSpeed adds to a parameter that stage 3 partitions."""

    ds_tensor: Tensor
    """This worker's part, flat and padded."""
    ds_numel: int
    ds_shape: torch.Size


class ZeroEngine(Generic[B]):
    """A DeepSpeed engine around the objective's loss."""

    needs_equal_passes = True
    can_skip = False

    def __init__(
        self, config: ZeroConfig, module: LossModule[B], optimizers: Mapping[str, Optimizer], *, world: World, clip_norm: float
    ) -> None:
        """Raises:
        ValueError: the objective alternates between phases, or trains matrices with Muon.
        """  # fmt: skip
        if list(optimizers) != ["main-adamw"]:
            raise ValueError(
                f"parallel.kind=deepspeed trains one phase with AdamW, this objective asks for {sorted(optimizers)}; "
                "set optim.matrices=adamw, or parallel.kind=fsdp"
            )
        self._world, self._stage = world, config.stage
        self._given = [list(group["params"]) for group in optimizers["main-adamw"].param_groups]
        self.network: nn.Module = module.network
        (self._name,) = optimizers
        with _deepspeed(world) as deepspeed:
            self._engine, *_ = deepspeed.initialize(
                model=module, optimizer=optimizers[self._name], config=_settings(config, clip_norm),
                dist_init_required=False,
            )  # fmt: skip
        self._make_states_known()

    def moves(self, phase: str, *, frozen: tuple[str, ...]) -> bool:  # noqa: ARG002  there is one phase, and nothing is frozen
        return True

    def begin(self, phase: str, *, frozen: tuple[str, ...]) -> None:  # noqa: ARG002  there is one phase
        if frozen:
            raise ValueError(f"parallel.kind=deepspeed cannot freeze {frozen}; use parallel.kind=fsdp, or freeze nothing")

    def loss(self, batch: B, phase: str, context: Context | None) -> LossTerms:
        return self._engine(batch, phase, context)

    def backward(self, loss: Tensor, *, is_last: bool) -> None:
        self._engine.set_gradient_accumulation_boundary(is_last)
        self._engine.backward(loss * self._world.size)               # DeepSpeed takes the mean over workers

    def gradient_norm(self, phase: str) -> float:
        raise NotImplementedError("DeepSpeed knows the norm of a gradient once its step is taken")

    def update(self, phase: str, *, rate: float) -> float:  # noqa: ARG002  there is one phase
        set_rates([self._base], rate)
        self._engine.step()
        return float(self._engine.get_global_grad_norm())

    def drop(self, phase: str) -> None:
        """Gradients cannot be taken out of DeepSpeed's buckets: the run goes back to a checkpoint, with a new engine."""

    def weights(self) -> Tensors:
        held = {name: tensor.detach() for name, tensor in self.network.named_buffers()}
        return held | {name: _held(parameter) for name, parameter in self.network.named_parameters()}

    def whole(self, held: Mapping[str, Tensor]) -> Tensors:
        parameters = dict(self.network.named_parameters())
        return {
            name: _gathered(tensor, parameters[name], self._world) if name in parameters else tensor
            for name, tensor in held.items()
        }

    def checkpointed(self, average: Mapping[str, Tensor]) -> Checkpointed:
        return {
            "network": self.whole(self.weights()),
            "average": self.whole(average),
            "optimizers": {self._name: OptimizerState(state=self._states(), param_groups=self._settings())},
        }

    def take_up(self, state: Checkpointed) -> Tensors:
        (stored,) = state["optimizers"].values()
        for name, buffer in self.network.named_buffers():
            buffer.copy_(state["network"][name])
        for name, parameter in self.network.named_parameters():
            self._set(parameter, state["network"][name], None)
            for kind in _STATES:
                self._set(parameter, stored["state"][name][kind], kind)
        num_updates = next(iter(stored["state"].values()))["step"]
        for flat in self._base.state.values():
            flat["step"] = num_updates.clone()
        for group, settings in zip(self._base.param_groups, stored["param_groups"], strict=True):
            group.update({name: value for name, value in settings.items() if name != "params"})
        return {name: self._held_of(name, tensor) for name, tensor in state["average"].items()}

    @property
    def _base(self) -> Optimizer:
        return self._engine.optimizer.optimizer

    def _make_states_known(self) -> None:
        """Let AdamW's moments be read and set before the first step; DeepSpeed 0.19 links those of the first group only."""
        partitioned = self._engine.optimizer
        flats = partitioned.fp32_partitioned_groups_flat if self._stage == 3 else partitioned.single_partition_of_fp32_groups
        for flat in flats:
            if not self._base.state[flat]:
                self._base.state[flat] = {"step": torch.tensor(0.0), **{kind: torch.zeros_like(flat) for kind in _STATES}}
        if self._stage < 3:
            self._engine.optimizer._lazy_init_hp_params_optimizer_state()

    @torch.no_grad()
    def _set(self, parameter: nn.Parameter, value: Tensor, moment: str | None) -> None:
        """Replace a weight, or one of its moments. DeepSpeed 0.19 sets whole tensors wrongly where stage 3 pads the last part."""
        from deepspeed import utils as fragments
        from deepspeed.runtime.zero import GatheredParameters

        part = self._part(value, parameter) if self._stage == 3 else value
        if moment is None:
            (fragments.safe_set_local_fp32_param if self._stage == 3 else fragments.safe_set_full_fp32_param)(parameter, part)
        elif self._stage == 3:
            fragments.safe_set_local_optimizer_state(parameter, part, moment)
        else:
            fragments.safe_set_full_optimizer_state(parameter, part, moment)
        if moment is None:
            with GatheredParameters([parameter], modifier_rank=0, enabled=self._stage == 3):
                parameter.data.copy_(value)

    def _part(self, whole: Tensor, parameter: nn.Parameter) -> Tensor:
        """This worker's part of a whole tensor that stage 3 partitions: flat, the last part padded with zeros."""
        missing = _partitioned(parameter).ds_tensor.numel() * self._world.size - whole.numel()
        return nn.functional.pad(whole.flatten(), (0, missing)).chunk(self._world.size)[self._world.rank].clone()

    def _states(self) -> dict[str, Tensors]:
        num_updates = next(iter(self._base.state.values()))["step"]
        return {
            name: {"step": num_updates.clone(), **{kind: _moment(parameter, kind) for kind in _STATES}}
            for name, parameter in self.network.named_parameters()
        }

    def _settings(self) -> list[dict[str, object]]:
        names = {id(parameter): name for name, parameter in self.network.named_parameters()}
        return [
            {**{name: value for name, value in group.items() if name != "params"}, "params": [names[id(p)] for p in given]}
            for group, given in zip(self._base.param_groups, self._given, strict=True)
        ]

    def _held_of(self, name: str, whole: Tensor) -> Tensor:
        """The part that this worker holds of a whole tensor, as in `weights`."""
        parameter = dict(self.network.named_parameters()).get(name)
        if parameter is None or _is_whole(parameter):
            return whole.clone()
        return self._part(whole, parameter)


def _settings(config: ZeroConfig, clip_norm: float) -> dict[str, object]:
    host = {"device": "cpu"} if config.offload else {"device": "none"}
    zero: dict[str, object] = {"stage": config.stage, "offload_optimizer": host}
    if config.stage == 3:
        zero |= {"offload_param": host, "stage3_param_persistence_threshold": _PERSISTENT_ELEMENTS}
    return {
        "train_micro_batch_size_per_gpu": 1, "gradient_accumulation_steps": 1, "gradient_clipping": clip_norm,
        "zero_optimization": zero, "zero_allow_untested_optimizer": True, "zero_force_ds_cpu_optimizer": False,
    }  # fmt: skip


def _is_whole(parameter: nn.Parameter) -> bool:
    return not hasattr(parameter, "ds_tensor")


def _held(parameter: nn.Parameter) -> Tensor:
    return parameter.detach() if _is_whole(parameter) else _partitioned(parameter).ds_tensor.detach()


def _partitioned(parameter: nn.Parameter) -> _Partitioned:
    assert not _is_whole(parameter), parameter.shape
    return cast("_Partitioned", parameter)


def _moment(parameter: nn.Parameter, kind: str) -> Tensor:
    """One of AdamW's moments of a parameter, gathered."""
    from deepspeed.utils import safe_get_full_optimizer_state

    whole = safe_get_full_optimizer_state(parameter, kind)
    assert isinstance(whole, Tensor), kind
    return whole


def _gathered(held: Tensor, parameter: nn.Parameter, world: World) -> Tensor:
    if _is_whole(parameter):
        return held
    parts = [torch.empty_like(held) for _ in range(world.size)]
    torch.distributed.all_gather(parts, held)
    told = _partitioned(parameter)
    return torch.cat(parts)[: told.ds_numel].view(told.ds_shape)


@contextmanager
def _deepspeed(world: World) -> Iterator[ModuleType]:
    """DeepSpeed on the process group that is there, without compiling its shared-memory transport on CPUs."""
    transport = importlib.import_module("deepspeed.comm.torch")
    if world.device.type == "cpu":
        vars(transport)["build_shm_op"] = lambda: None
    deepspeed = importlib.import_module("deepspeed")
    deepspeed.init_distributed(dist_backend="gloo" if world.device.type == "cpu" else "nccl", dist_init_required=False)
    yield deepspeed
