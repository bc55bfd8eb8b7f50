"""Checkpoints: exact, checked, bounded."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from tiny_game import Game, batch_of, state_of
from torch import Tensor

from train.checkpoint import CheckpointConfig, Checkpoints, newest
from train.guard import Memory, Norms
from train.parallel.world import World
from train.state import TrainState


def advance(state: TrainState[Tensor], num_steps: int, *, frozen: tuple[str, ...] = ()) -> None:
    for _ in range(num_steps):
        step = state.num_steps_done
        for phase in ("discriminator", "generator") if step % 4 == 0 and step else ("generator",):
            state.engine.begin(phase, frozen=frozen)
            state.engine.backward(state.engine.loss(batch_of(step), phase, None).total, is_last=True)
            state.engine.gradient_norm(phase)
            state.engine.update(phase, rate=1.0)
        state.average.update(state.engine.weights(), step=step)
        state.num_steps_done += 1


@contextmanager
def opened(folder: Path, config: CheckpointConfig | None = None) -> Iterator[Checkpoints]:
    checkpoints = Checkpoints(folder, config or CheckpointConfig(every_steps=1), World(0, 1))
    try:
        yield checkpoints
    finally:
        checkpoints.close()


def save_steps(folder: Path, num_steps: int, config: CheckpointConfig | None = None) -> TrainState[Tensor]:
    state = state_of(Game())
    with opened(folder, config) as checkpoints:
        for _ in range(num_steps):
            advance(state, 1)
            checkpoints.save(state)
    return state


def resumed(folder: Path) -> TrainState[Tensor]:
    state = state_of(Game())
    with opened(folder) as checkpoints:
        assert checkpoints.restore(state) is not None
    return state


def held(state: TrainState[Tensor]) -> Tensor:
    return torch.cat([tensor.flatten() for tensor in (*state.engine.weights().values(), *state.average.state.values())])


def names(folder: Path) -> list[str]:
    return sorted(place.name for place in folder.iterdir())


@pytest.mark.parametrize("saved_at", [0, 3, 6])
def test_going_on_from_a_checkpoint_is_going_on(tmp_path: Path, saved_at: int) -> None:
    """Also where a parameter has stood still, and a phase has not begun."""
    straight, broken = state_of(Game()), state_of(Game())
    for state in (straight, broken):
        advance(state, saved_at, frozen=("generator.bias",))
    with opened(tmp_path) as checkpoints:
        checkpoints.save(broken)
    again = resumed(tmp_path)
    assert again.num_steps_done == saved_at
    for state in (straight, broken, again):
        advance(state, 8 - saved_at)
    assert torch.equal(held(straight), held(broken))
    assert torch.equal(held(straight), held(again))


def test_what_has_struck_is_remembered(tmp_path: Path) -> None:
    state = state_of(Game())
    state.guard.memory = Memory(norms={"generator": Norms(0.1, 7)}, struck=(9,), left_out=(2, 3), num_rollbacks=1)
    with opened(tmp_path) as checkpoints:
        checkpoints.save(state)
    assert resumed(tmp_path).guard.memory == state.guard.memory


def test_the_newest_are_kept_and_those_of_round_steps_for_good(tmp_path: Path) -> None:
    save_steps(tmp_path, 6, CheckpointConfig(every_steps=1, keep=2, keep_every_steps=3))
    assert names(tmp_path) == ["step-00000003", "step-00000004", "step-00000005", "step-00000006"]


def test_a_step_is_saved_once(tmp_path: Path) -> None:
    with opened(tmp_path) as checkpoints:
        state = state_of(Game())
        advance(state, 1)
        checkpoints.save(state)
        checkpoints.wait()
        written = (tmp_path / "step-00000001" / "manifest.json").stat().st_ino
        checkpoints.save(state)
    assert (tmp_path / "step-00000001" / "manifest.json").stat().st_ino == written


def test_any_flipped_bit_or_lost_file_is_found_and_the_one_before_is_used(tmp_path: Path) -> None:
    save_steps(tmp_path, 2)
    place = tmp_path / "step-00000002"
    for path in place.iterdir():
        whole = path.read_bytes()
        for offset in range(0, len(whole), 1 + len(whole) // 25):
            path.write_bytes(whole[:offset] + bytes([whole[offset] ^ 1]) + whole[offset + 1 :])
            if path.suffix != ".json" or _says_something_else(path, whole):
                name, (damage,) = newest(tmp_path)
                assert (name, damage.name) == ("step-00000001", "step-00000002"), (path.name, offset)
        path.unlink()
        assert newest(tmp_path)[0] == "step-00000001", path.name
        path.write_bytes(whole)
    assert newest(tmp_path) == ("step-00000002", ())


def _says_something_else(path: Path, whole: bytes) -> bool:
    """Whether the change matters: one between two blanks does not."""
    try:
        return json.loads(path.read_bytes()) != json.loads(whole)
    except ValueError:
        return True


def test_damaged_ones_do_not_push_out_good_ones(tmp_path: Path) -> None:
    once = CheckpointConfig(every_steps=1, keep=1, keep_every_steps=3)
    save_steps(tmp_path, 5, once)
    (tmp_path / "step-00000005" / "manifest.json").unlink()
    state = state_of(Game())
    with opened(tmp_path, once) as checkpoints:
        restored = checkpoints.restore(state)
        assert restored is not None
        assert (restored.step, [damage.problem for damage in restored.passed_over]) == (3, ["no manifest"])
        advance(state, 1)
        checkpoints.save(state)
    assert names(tmp_path) == ["step-00000003", "step-00000004"]
    assert newest(tmp_path)[0] == "step-00000004"


def test_what_was_not_finished_is_cleared_away(tmp_path: Path) -> None:
    (tmp_path / ".step-00000009.writing").mkdir(parents=True)
    with opened(tmp_path) as checkpoints:
        assert checkpoints.restore(state_of(Game())) is None
    assert names(tmp_path) == []


def test_one_is_due_at_its_step_or_at_the_next_that_is_taken(tmp_path: Path) -> None:
    with opened(tmp_path, CheckpointConfig(every_steps=4, keep_every_steps=10)) as checkpoints:
        assert [step for step in range(1, 13) if checkpoints.is_due(step, since=step - 1)] == [4, 8, 10, 12]
        assert checkpoints.is_due(5, since=3)
        assert not checkpoints.is_due(7, since=4)
