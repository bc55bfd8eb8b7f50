"""The step: packs add up to the batch, phases alternate, and a step that would do harm is not taken."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import pytest
import torch
from tiny_game import DISCRIMINATOR, Game, batch_of, state_of
from torch import Tensor

from train.guard import Diverged, GuardConfig, RolledBack
from train.loop import Hooks, Stopped, Taken, train_steps
from train.objectives.contract import PackInput, StepInput
from train.parallel.world import World
from train.state import TrainState


def inputs(num_steps: int, *, cut: tuple[int, ...] = (8,), poisoned: frozenset[int] = frozenset()) -> Iterator[StepInput[Tensor]]:
    for step in range(num_steps):
        whole = batch_of(step) * (float("nan") if step in poisoned else 1.0)
        packs = [PackInput(part, len(part) / 8, (f"s{step}",)) for part in whole.split(list(cut))]
        yield StepInput(step, packs, num_rounds=len(packs), num_samples=8, num_tokens=8, flops=1.0, wait_s=0.0)


def run(
    state: TrainState, game: Game, given: Iterator[StepInput[Tensor]], hooks: Mapping[str, object] | None = None
) -> list[tuple[int, Taken]]:
    seen: list[tuple[int, Taken]] = []
    told = Hooks(after_step=lambda step_input, taken: seen.append((step_input.step, taken)), rate=lambda _: 1.0)
    told = Hooks(**{**vars(told), **(hooks or {})})
    train_steps(state, game, given, world=World(0, 1), hooks=told)
    return seen


def weights(game: Game) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in game.network.state_dict().items()}


def test_packs_add_up_to_the_whole_batch() -> None:
    whole, parts = Game(), Game()
    run(state_of(whole), whole, inputs(5))
    run(state_of(parts), parts, inputs(5, cut=(1, 5, 2)))
    for name, tensor in weights(whole).items():
        torch.testing.assert_close(weights(parts)[name], tensor)


def test_phases_alternate_and_move_only_their_own_parameters() -> None:
    game = Game()
    state = state_of(game)
    before = weights(game)
    run(state, game, (given for given in inputs(2) if given.step == 1))
    after = weights(game)
    assert game.phases_run == ["generator"]
    assert torch.equal(before["discriminator.weight"], after["discriminator.weight"])
    assert not torch.equal(before["generator.weight"], after["generator.weight"])
    run(state, game, (given for given in inputs(3) if given.step == 2))
    assert game.phases_run == ["generator", "discriminator", "generator"]
    assert not torch.equal(after["discriminator.weight"], weights(game)["discriminator.weight"])


def test_frozen_parameters_stand_still() -> None:
    game = Game()
    before = weights(game)
    run(state_of(game), game, inputs(3), {"frozen": lambda _: ("generator.bias",)})
    assert torch.equal(before["generator.bias"], weights(game)["generator.bias"])
    assert not torch.equal(before["generator.weight"], weights(game)["generator.weight"])


def test_a_phase_whose_parameters_all_stand_still_is_left_out() -> None:
    game = Game()
    before = weights(game)
    seen = run(state_of(game), game, inputs(3), {"frozen": lambda step: ("generator.",) if step < 2 else ()})
    assert game.phases_run == ["discriminator", "discriminator", "generator"]
    assert [step for step, _ in seen] == [0, 2]                      # in step 1 nothing is due
    assert not torch.equal(before["generator.weight"], weights(game)["generator.weight"])


def test_a_step_that_is_not_finite_is_not_taken_and_its_samples_are_named(caplog: pytest.LogCaptureFixture) -> None:
    game, clean = Game(), Game()
    seen = run(state_of(game), game, inputs(4, poisoned=frozenset({2})))
    run(state_of(clean), clean, (given for given in inputs(4) if given.step != 2))
    assert [step for step, _ in seen] == [0, 1, 3]
    assert any(getattr(record, "samples", ()) == ("s2",) for record in caplog.records)
    for name, tensor in weights(clean).items():
        assert torch.equal(weights(game)[name], tensor)


def test_three_strikes_send_the_run_back_and_are_left_out_afterwards() -> None:
    game = Game()
    state = state_of(game)
    poisoned = frozenset({2, 3, 4})
    with pytest.raises(RolledBack):
        run(state, game, inputs(8, poisoned=poisoned))
    assert state.guard.memory.left_out == (2, 3, 4)
    again = Game()
    restarted = state_of(again)
    restarted.guard.recall(state.guard.memory)
    assert [step for step, _ in run(restarted, again, inputs(8, poisoned=poisoned))] == [0, 1, 5, 6, 7]
    assert restarted.num_steps_done == 8


def test_strikes_of_one_phase_add_up_though_the_other_is_fine() -> None:
    game = Game(spoilt="generator")
    state = state_of(game)
    with pytest.raises(RolledBack):
        run(state, game, (replace(given, step=DISCRIMINATOR.every_steps * given.step) for given in inputs(5)))
    assert state.guard.memory.left_out == (0, 2, 4)
    assert list(state.guard.memory.norms) == ["discriminator"]


def test_a_run_that_goes_back_too_often_gives_up_and_says_what_to_do() -> None:
    game = Game()
    state = state_of(game, guard=GuardConfig(strikes=1, rollbacks=0))
    with pytest.raises(Diverged, match="select without them"):
        run(state, game, inputs(3, poisoned=frozenset({0})))


def test_asked_to_stop_it_ends_after_the_step() -> None:
    game = Game()
    state = state_of(game)
    with pytest.raises(Stopped):
        run(state, game, inputs(9), {"is_asked_to_stop": lambda: state.num_steps_done == 3})
    assert state.num_steps_done == 3


def test_means_of_meters_are_over_all_packs() -> None:
    game = Game()
    (_, taken), *_ = run(state_of(game), game, inputs(1, cut=(2, 6)))
    assert float(taken.meters["score"].count) == 8
