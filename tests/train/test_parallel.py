"""One run under every engine: the same losses, and checkpoints that any of them goes on from."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from tiny_fit import changed, losses, of_steps, prepare, tiny_fit, train
from tiny_game import Game, batch_of, state_of
from torch import Tensor

from train.loop import Hooks, train_steps
from train.objectives import build
from train.objectives.contract import PackInput, StepInput
from train.objectives.flow import FlowConfig
from train.parallel import DdpConfig, FsdpConfig, ParallelConfig, World
from train.plan import Plan
from train.samples import load_samples

ENGINES: dict[str, dict[str, object]] = {
    "ddp": {"kind": "ddp"},
    "fsdp": {"kind": "fsdp"},
    "hsdp": {"kind": "fsdp", "replicas": 2},
    "zero-1": {"kind": "deepspeed", "stage": 1},
    "zero-2": {"kind": "deepspeed", "stage": 2},
    "zero-3": {"kind": "deepspeed", "stage": 3},
}
TOLERANCE = 1e-5
"""Relative, of fp32 losses: engines add up gradients in different orders."""


@pytest.mark.slow
def test_every_engine_follows_one_curve_and_goes_on_from_the_checkpoint_of_another(tmp_path: Path) -> None:
    config = changed(of_steps(tiny_fit(tmp_path), 8), optim={"matrices": "adamw"})
    whole = {**config.model_dump(), "num_workers": 2}
    under = {name: config.model_validate({**whole, "parallel": engine}) for name, engine in ENGINES.items()}
    train([prepare(tmp_path / name, each) for name, each in under.items()], num_workers=2, rendezvous=tmp_path / "first")
    expected = dict(losses(tmp_path / "ddp"))
    for name in ENGINES:
        assert dict(losses(tmp_path / name)) == pytest.approx(expected, rel=TOLERANCE), name

    names = list(ENGINES)
    moved = [_half_done(tmp_path, source) for source in names]
    for folder, source in zip(moved, names, strict=True):
        prepare(folder, under[names[(names.index(source) + 2) % len(names)]])
    train(moved, num_workers=2, rendezvous=tmp_path / "second")
    for folder in moved:
        assert dict(losses(folder)) == pytest.approx(expected, rel=TOLERANCE), folder.name


@pytest.mark.slow
def test_weights_in_shards_that_are_replicated_follow_the_curve_too(tmp_path: Path) -> None:
    """Two replicas of two shards each: with two workers, one of the two would have nothing to do."""
    config = changed(of_steps(tiny_fit(tmp_path), 8), plan={"num_slots": 4, "batch_samples": 8}, optim={"matrices": "adamw"})
    hsdp = config.model_validate({**config.model_dump(), "parallel": ENGINES["hsdp"], "num_workers": 4})
    train([prepare(tmp_path / "whole", config)], num_workers=1, rendezvous=tmp_path / "alone")
    train([prepare(tmp_path / "parts", hsdp)], num_workers=4, rendezvous=tmp_path / "together")
    assert dict(losses(tmp_path / "parts")) == pytest.approx(dict(losses(tmp_path / "whole")), rel=TOLERANCE)


def _half_done(place: Path, source: str) -> Path:
    """A copy of a run whose newest checkpoint is that of step 6."""
    folder = place / f"from-{source}"
    shutil.copytree(place / source, folder)
    shutil.rmtree(folder / "bundle")
    shutil.rmtree(folder / "checkpoints" / "step-00000008")
    return folder


@pytest.mark.slow
def test_muon_gives_the_same_curve_replicated_and_sharded(tmp_path: Path) -> None:
    config = of_steps(tiny_fit(tmp_path), 6)
    kinds = {name: config.model_validate({**config.model_dump(), "parallel": ENGINES[name]}) for name in ("ddp", "fsdp")}
    kinds["recomputed"] = changed(kinds["fsdp"], memory={"recompute": "selective", "offload": True})
    train([prepare(tmp_path / name, each) for name, each in kinds.items()], num_workers=2, rendezvous=tmp_path / "rendezvous")
    for name in ("fsdp", "recomputed"):
        assert dict(losses(tmp_path / name)) == pytest.approx(dict(losses(tmp_path / "ddp")), rel=TOLERANCE)


@pytest.mark.slow
def test_blocks_that_are_compiled_and_recomputed_follow_the_curve_too(tmp_path: Path) -> None:
    config = changed(of_steps(tiny_fit(tmp_path), 6), optim={"matrices": "adamw"})
    compiled = changed(config, memory={"recompute": "selective", "compile": True})
    folders = [prepare(tmp_path / "plain", config), prepare(tmp_path / "compiled", compiled)]
    train(folders, num_workers=1, rendezvous=tmp_path / "rendezvous")
    assert dict(losses(folders[1])) == pytest.approx(dict(losses(folders[0])), rel=TOLERANCE)


@pytest.mark.slow
@pytest.mark.parametrize("is_routed", [False, True])
def test_samples_above_the_cap_are_trained_on_by_two_workers_together_as_by_one(tmp_path: Path, is_routed: bool) -> None:
    plan = {"max_tokens": 20, "context_slots": 2, "batch_samples": 8}
    config = changed(of_steps(tiny_fit(tmp_path), 6), plan=plan, optim={"matrices": "adamw"})
    if is_routed:
        assert isinstance(config.objective, FlowConfig)
        dit = {**config.objective.dit.model_dump(), "depth": 4}
        config = changed(config, objective={"dit": dit, "routing": {"first": 1, "last": 1, "min_tokens": 1}})
    samples = load_samples(config.data, "train", unit="noisy tokens")
    planned = Plan(config.plan, samples.sizes, cost=build(config.objective).cost)
    assert all(planned.step(step).shared and any(map(any, planned.step(step).slots)) for step in range(6))
    kinds = {"one": config, "two": config, "sharded": config.model_validate({**config.model_dump(), "parallel": ENGINES["fsdp"]})}
    one, *others = [prepare(tmp_path / name, each) for name, each in kinds.items()]
    train([one], num_workers=1, rendezvous=tmp_path / "alone")
    train(others, num_workers=2, rendezvous=tmp_path / "together")
    for folder in others:
        assert dict(losses(folder)) == pytest.approx(dict(losses(one)), rel=TOLERANCE), folder.name


@pytest.fixture
def group_of_one(tmp_path: Path) -> Iterator[None]:
    """A process group of this process alone."""
    dist.init_process_group("gloo", init_method=f"file://{tmp_path / 'rendezvous'}", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def played(parallel: ParallelConfig) -> dict[str, Tensor]:
    """Weights after a parameter stood still for two steps, and phases took turns."""
    state = state_of(Game(), parallel=parallel)
    for step, phase in enumerate(("generator", "generator", "discriminator", "generator", "discriminator")):
        state.engine.begin(phase, frozen=("generator.bias",) if step < 2 else ())
        for part in batch_of(step).split(4):
            state.engine.backward(0.5 * state.engine.loss(part, phase, None).total, is_last=True)
        state.engine.gradient_norm(phase)
        state.engine.update(phase, rate=1.0)
    return state.engine.whole(state.engine.weights())


@pytest.mark.usefixtures("group_of_one")
def test_parameters_that_stood_still_move_when_they_may_sharded_as_replicated() -> None:
    replicated, sharded, start = played(DdpConfig()), played(FsdpConfig()), Game().network.state_dict()
    for name, tensor in replicated.items():
        assert not torch.equal(tensor, start[name]), name
        torch.testing.assert_close(sharded[name], tensor)


@pytest.mark.usefixtures("group_of_one")
def test_a_worker_without_a_pack_runs_the_passes_of_the_others_and_adds_nothing() -> None:
    game = Game()
    state, calls = state_of(game, parallel=FsdpConfig()), game.phases_run
    pack = PackInput(batch_of(0), 1.0, ("s0",))
    given = StepInput(1, [], num_rounds=2, num_samples=8, num_tokens=8, flops=1.0, wait_s=0.0, filler=pack)
    hooks = Hooks(after_step=lambda *_: None, rate=lambda _: 1.0)
    train_steps(state, game, iter([given]), world=World(0, 1), hooks=hooks)
    assert calls == ["generator", "generator"]
    moved = state.engine.whole(state.engine.weights())
    assert all(torch.equal(moved[name], tensor) for name, tensor in Game().network.state_dict().items())
    with pytest.raises(ValueError, match="none of this worker's samples up to step 1 can be decoded"):
        train_steps(
            state, game, iter([replace(given, filler=None)]), world=World(0, 1),
            hooks=hooks,
        )  # fmt: skip
