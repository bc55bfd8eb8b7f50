"""Training that is killed, stopped, damaged and moved: it ends where an undisturbed run ends."""

import os
import random
import signal
import time
from collections import Counter
from pathlib import Path
from zlib import crc32

import pytest
from tiny_fit import changed, ended, losses, of_steps, prepare, start, start_until, tiny_fit, train, weights_digest

from models.cost import transformer_cost
from train.checkpoint import newest
from train.events import Events
from train.meters import readings
from train.objectives.flow import FlowConfig
from train.plan import Plan
from train.samples import load_samples
from train.schedule import Constant
from train.watchdog import heartbeats

NUM_STEPS = 40


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An undisturbed run of one worker."""
    place = tmp_path_factory.mktemp("straight")
    folder = prepare(place / "run", of_steps(tiny_fit(place), NUM_STEPS))
    train([folder], num_workers=1, rendezvous=place / "rendezvous")
    return folder


def copied(straight: Path, place: Path) -> Path:
    """A run of the same configuration that has not begun."""
    place.mkdir()
    for name in ("config.json", "lineage.json"):
        (place / name).write_text((straight / name).read_text())
    return place


def wait_for_step(folder: Path, step: int) -> None:
    while not any(reading.step >= step for reading in readings(folder / "meters.jsonl")):
        time.sleep(0.002)


def assert_same(folder: Path, straight: Path) -> None:
    assert losses(folder) == losses(straight)
    assert weights_digest(folder) == weights_digest(straight)


def kinds(folder: Path) -> Counter[str]:
    return Counter(event.kind for event in Events(folder, writer="test").all())


@pytest.mark.slow
def test_killed_at_random_steps_it_follows_the_same_curve_bit_by_bit(straight: Path, tmp_path: Path) -> None:
    folder = copied(straight, tmp_path / "run")
    for step in sorted(random.Random(7).sample(range(2, NUM_STEPS - 6), 4)):
        (worker,) = start([folder], num_workers=1, rendezvous=tmp_path / "rendezvous")
        wait_for_step(folder, step)
        worker.kill()
        assert ended(worker) == -signal.SIGKILL
    train([folder], num_workers=1, rendezvous=tmp_path / "rendezvous")
    assert_same(folder, straight)
    assert kinds(folder)["resumed"] >= 1


@pytest.mark.slow
def test_killed_at_every_place_of_writing_checkpoints_none_is_torn(tmp_path: Path) -> None:
    config = of_steps(tiny_fit(tmp_path), 150)                       # each child gets further than the one before
    undisturbed, folder = prepare(tmp_path / "undisturbed", config), prepare(tmp_path / "run", config)
    train([undisturbed], num_workers=1, rendezvous=tmp_path / "rendezvous")
    for offset in range(1, 26):
        assert ended(start_until(offset, folder)) == -signal.SIGKILL
    train([folder], num_workers=1, rendezvous=tmp_path / "rendezvous")
    assert newest(folder / "checkpoints") == ("step-00000150", ())
    assert_same(folder, undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize("part", ["__0_0.distcp", ".metadata", "manifest.json"])
def test_a_flipped_bit_in_the_newest_checkpoint_is_found_and_named(straight: Path, tmp_path: Path, part: str) -> None:
    folder = copied(straight, tmp_path / "run")
    (worker,) = start([folder], num_workers=1, rendezvous=tmp_path / "rendezvous")
    wait_for_step(folder, 20)
    worker.kill()
    ended(worker)
    newest = sorted((folder / "checkpoints").glob("step-*"))[-1]
    damaged = bytearray((newest / part).read_bytes())
    damaged[random.Random(part).randrange(len(damaged))] ^= 1 << 3
    (newest / part).write_bytes(damaged)
    train([folder], num_workers=1, rendezvous=tmp_path / "rendezvous")
    (resumed,) = [event for event in Events(folder, writer="test").all() if event.kind == "resumed"]
    assert newest.name in str(resumed.facts["passed_over"])
    assert_same(folder, straight)


def test_asked_with_sigterm_it_makes_the_last_step_safe_and_goes_on_from_there(straight: Path, tmp_path: Path) -> None:
    folder = copied(straight, tmp_path / "run")
    (worker,) = start([folder], num_workers=1, rendezvous=tmp_path / "rendezvous")
    wait_for_step(folder, 10)
    worker.terminate()
    assert ended(worker) == 1                              # it ends by `Stopped`
    (interrupted,) = [event for event in Events(folder, writer="test").all() if event.kind == "interrupted"]
    name, _ = newest(folder / "checkpoints")
    assert name == f"step-{interrupted.facts['step']:08d}"
    train([folder], num_workers=1, rendezvous=tmp_path / "rendezvous")
    assert_same(folder, straight)


@pytest.mark.slow
def test_a_stopped_rank_is_found_and_named_and_the_group_goes_on(tmp_path: Path) -> None:
    config = changed(of_steps(tiny_fit(tmp_path), 300), checkpoint={"every_steps": 50})
    config = config.model_validate({**config.model_dump(), "hang_s": 5.0})
    undisturbed, folder = prepare(tmp_path / "undisturbed", config), prepare(tmp_path / "run", config)
    train([undisturbed], num_workers=2, rendezvous=tmp_path / "rendezvous")
    workers = start([folder], num_workers=2, rendezvous=tmp_path / "rendezvous")
    while not any(beat.rank == 1 and beat.num_beats > 3 and beat.num_steps_done > 60 for beat in heartbeats(folder, 2).values()):
        time.sleep(0.05)
    os.kill(workers[1].pid or 0, signal.SIGSTOP)
    ended(workers[0])                                                # its watchdog ends it, as Ray Train would be told
    workers[1].kill()
    ended(workers[1])
    hangs = [event for event in Events(folder, writer="test").all() if event.kind == "hang"]
    assert {event.facts["rank"] for event in hangs} == {1}
    train([folder], num_workers=2, rendezvous=tmp_path / "rendezvous")
    assert_same(folder, undisturbed)


def test_on_one_two_four_and_three_workers_the_global_batches_are_the_same(tmp_path: Path) -> None:
    # Rates are the same whatever the number of steps; Muon, in bf16, makes of the order of a sum 4e-5 in twelve steps.
    rates = {"schedule": Constant(warmup_steps=2), "matrices": "adamw"}
    config = changed(of_steps(tiny_fit(tmp_path), 12), plan={"num_slots": 12, "batch_samples": 24}, optim=rates)
    alone, moving = prepare(tmp_path / "alone", config), tmp_path / "moving"
    train([alone], num_workers=1, rendezvous=tmp_path / "rendezvous")
    for num_workers, last in ((1, 3), (2, 6), (4, 9), (3, 12)):
        prepare(moving, of_steps(config, last))
        train([moving], num_workers=num_workers, rendezvous=tmp_path / "rendezvous")
    one, many = (list(readings(folder / "meters.jsonl")) for folder in (alone, moving))
    assert [each.values["batch_checksum"] for each in many] == [each.values["batch_checksum"] for each in one]
    assert [each.values["loss"] for each in many] == pytest.approx([each.values["loss"] for each in one], rel=1e-5)


def test_what_was_trained_on_is_what_the_plan_says_with_none_repeated_or_skipped(straight: Path) -> None:
    config = of_steps(tiny_fit(straight.parent / "again"), NUM_STEPS)
    samples = load_samples(config.data, "train", unit="noisy tokens")
    assert isinstance(config.objective, FlowConfig)
    plan = Plan(config.plan, samples.sizes, cost=transformer_cost(config.objective.dit, num_draws=2))
    seen: dict[int, Counter[str]] = {}
    for reading in readings(straight / "meters.jsonl"):
        step = plan.step(reading.step - 1)
        picks = [pick for packs in step.slots for pack in packs for pick in pack]
        assert reading.values["batch_checksum"] == sum(crc32(samples.id(pick.sample).encode()) for pick in picks)
        for pick in picks:
            seen.setdefault(pick.epoch, Counter())[samples.id(pick.sample)] += 1
    whole = [count for epoch, count in seen.items() if epoch < max(seen)]
    assert len(whole) > 5
    assert all(set(count.values()) == {1} and len(count) == len(samples) for count in whole)
