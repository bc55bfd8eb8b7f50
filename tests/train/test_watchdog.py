"""Who is said to hang, by heartbeats; and a process that is really stopped."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from infra.settings import CODE_ROOT
from train.events import Events
from train.watchdog import HANG_EXIT_CODE, Hang, Heartbeat, Watch, Watchdog, is_watcher, stragglers

HANG_S = 60.0


class Clock:
    """Workers that beat once a second and are watched, without a second passing."""

    def __init__(self, doing: Mapping[int, str]) -> None:
        self.now, self.watch = 1000.0, Watch(hang_s=HANG_S)
        self.doing = dict(doing)
        self.beats = {rank: Heartbeat(rank, f"host-{rank}", 100 + rank, 1, -1, 0, what) for rank, what in doing.items()}

    def run(
        self, seconds: int, *, silent: tuple[int, ...] = (), at_work: tuple[int, ...] = (), stuck: bool = False
    ) -> list[Hang]:
        """The first hang in so many seconds; a step a second, unless they are `stuck`, of which some are `at_work`."""
        for _ in range(seconds):
            self.now += 1.0
            for rank, beat in self.beats.items():
                if rank not in silent:
                    moves = 0 if stuck and rank not in at_work else 1
                    self.beats[rank] = beat._replace(
                        num_beats=beat.num_beats + 1, num_steps_done=beat.num_steps_done + (0 if stuck else 1),
                        num_moves=beat.num_moves + moves, doing=self.doing[rank],
                    )  # fmt: skip
            hangs = self.watch.look(self.beats, self.now)
            if hangs:
                return hangs
        return []


def test_workers_that_step_are_left_alone():
    assert Clock({0: "compute", 1: "compute"}).run(1000) == []


def test_a_stopped_process_is_named_after_a_minute():
    clock = Clock({0: "collective", 1: "collective", 2: "compute"})
    clock.run(5)
    assert clock.run(59, silent=(2,), stuck=True) == []
    (hang,) = clock.run(2, silent=(2,), stuck=True)
    assert (hang.rank, hang.host, hang.pid, hang.doing, hang.is_silent) == (2, "host-2", 102, "compute", True)
    assert hang.seconds == pytest.approx(HANG_S, abs=1.0)


def test_who_is_stuck_in_its_data_is_named_and_those_who_wait_for_it_are_not():
    clock = Clock({0: "collective", 1: "data", 2: "compute"})
    clock.run(5)
    (hang,) = clock.run(62, stuck=True)
    assert (hang.rank, hang.doing, hang.num_steps_done, hang.is_silent) == (1, "data", 4, False)


def test_all_are_named_when_all_wait_for_the_network():
    clock = Clock({0: "collective", 1: "collective"})
    clock.run(5)
    assert [hang.rank for hang in clock.run(62, stuck=True)] == [0, 1]


@pytest.mark.parametrize("doing", ["checkpoint", "start"])
def test_checkpoints_and_the_end_of_a_run_may_take_ten_times_as_long(doing: str):
    clock = Clock({0: doing, 1: "collective"})
    clock.run(5)
    assert clock.run(590, stuck=True) == []
    assert [hang.rank for hang in clock.run(20, stuck=True)] == [0]


def test_the_first_step_may_take_ten_times_as_long():
    clock = Clock({0: "compute", 1: "compute"})
    assert clock.run(500, stuck=True) == []
    assert [hang.rank for hang in clock.run(200, stuck=True)] == [0, 1]


def test_steps_that_are_always_slow_are_no_hang():
    clock = Clock({0: "compute"})
    clock.run(1)
    clock.run(50, stuck=True)
    clock.run(1)
    assert clock.run(145, stuck=True) == []
    assert len(clock.run(10, stuck=True)) == 1


def test_others_wait_for_one_that_is_at_work():
    clock = Clock({0: "preview", 1: "collective"})
    clock.run(5)
    assert clock.run(600, at_work=(0,), stuck=True) == []


def test_a_watcher_that_was_stopped_itself_accuses_nobody():
    clock = Clock({0: "compute", 1: "compute"})
    clock.run(5)
    clock.now += 3600.0
    assert clock.run(50, stuck=True) == []


def test_heartbeats_of_an_earlier_attempt_are_no_sign_of_a_hang():
    clock = Clock({0: "start", 1: "compute"})
    assert clock.run(300, silent=(1,), stuck=True) == []
    clock.beats[1] = Heartbeat(1, "host-1", 999, 1, -1, 0, "start")
    assert clock.run(300, stuck=True) == []


@pytest.mark.parametrize("num_workers", [1, 2, 3, 4, 5, 64, 1000])
def test_a_few_workers_watch_all(num_workers: int):
    watchers = [rank for rank in range(num_workers) if is_watcher(rank, num_workers)]
    assert min(num_workers, 3) <= len(watchers) <= 4


def test_stragglers_are_named_the_slowest_first():
    found = stragglers([1.0, 1.3, 1.0, 1.15, 2.0, 1.0, 0.9])
    assert [(each.rank, each.seconds, each.ratio) for each in found] == [(4, 2.0, 2.0), (1, 1.3, 1.3)]
    assert stragglers([3.0]) == []


PROGRAM = """
import sys, time
from pathlib import Path
from train.watchdog import Watchdog
with Watchdog(Path(sys.argv[1]), rank=int(sys.argv[2]), num_workers=2, hang_s=0.5, tick_s=0.05) as watchdog:
    print("up", flush=True)
    for step in range(100_000):
        watchdog.step(step)
        time.sleep(0.01)
"""


def test_a_process_that_is_really_stopped_is_found_by_the_other(tmp_path: Path):
    workers = [
        subprocess.Popen([sys.executable, "-c", PROGRAM, tmp_path, str(rank)], cwd=CODE_ROOT, stdout=subprocess.PIPE)
        for rank in range(2)
    ]
    try:
        for worker in workers:
            assert worker.stdout is not None
            assert worker.stdout.readline() == b"up\n"
        time.sleep(0.3)                                              # heartbeats follow each other
        os.kill(workers[1].pid, signal.SIGSTOP)
        assert workers[0].wait(timeout=30) == HANG_EXIT_CODE
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()
    (event,) = Events(tmp_path, writer="test").all()
    assert (event.kind, event.facts["rank"], event.facts["pid"], event.facts["is_silent"]) == ("hang", 1, workers[1].pid, True)


def test_a_worker_that_has_ended_is_nobody_to_wait_for(tmp_path: Path):
    left: list[int] = []
    with Watchdog(tmp_path, rank=0, num_workers=2, hang_s=0.2, tick_s=0.01, leave=left.append) as first:
        with Watchdog(tmp_path, rank=1, num_workers=2, hang_s=30.0, tick_s=0.01) as second:
            second.step(1)
        for step in range(50):
            first.step(step)
            time.sleep(0.01)
    assert left == []
    assert list((tmp_path / "heartbeats").iterdir()) == []
