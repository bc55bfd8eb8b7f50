"""Training on Ray Train whose workers are killed and asked to stop: the group goes on where the newest checkpoint is."""

import math
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import lance
import pyarrow as pa
import pytest
import torch
from tiny_fit import LINEAGE, changed, losses, of_steps, tiny_fit, weights_digest

from train.config import FitConfig
from train.events import Events
from train.health import HealthConfig, check_nodes
from train.launch import GaveUp, Interrupted, launch
from train.meters import readings
from train.watchdog import heartbeats

pytestmark = [pytest.mark.ray, pytest.mark.slow]


def run(config: FitConfig, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    health = check_nodes(folder, HealthConfig(), dtype=torch.float32)
    launch(config, LINEAGE, health, folder=folder, bundle=folder / "bundle")


def meanwhile(folder: Path, step: int, do: Callable[[], object]) -> threading.Thread:
    """Do something once the run has done so many steps."""

    def wait() -> None:
        while not any(reading.step >= step for reading in readings(folder / "meters.jsonl")):
            time.sleep(0.01)
        do()

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread


def send(folder: Path, rank: int, number: signal.Signals) -> None:
    os.kill(heartbeats(folder, 2)[rank].pid, number)


@pytest.mark.usefixtures("local_ray")
def test_workers_may_die_and_be_asked_to_stop_and_the_driver_may_too(tmp_path: Path) -> None:
    config = of_steps(tiny_fit(tmp_path), 60).model_copy(update={"num_workers": 2})
    straight, broken = tmp_path / "straight", tmp_path / "broken"
    run(config, straight)
    meanwhile(broken, 8, lambda: send(broken, 1, signal.SIGKILL))
    meanwhile(broken, 20, lambda: send(broken, 0, signal.SIGTERM))
    meanwhile(broken, 35, lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(Interrupted):
        run(config, broken)
    run(config, broken)
    kinds = [event.kind for event in Events(broken, writer="test").all()]
    assert kinds.count("resumed") == 3
    assert kinds.count("interrupted") == 2
    assert "worker died" in kinds
    assert losses(broken) == losses(straight)
    assert weights_digest(broken) == weights_digest(straight)


@pytest.mark.usefixtures("local_ray")
def test_a_run_that_does_itself_harm_again_and_again_ends_at_once(tmp_path: Path) -> None:
    config = changed(of_steps(tiny_fit(tmp_path), 12), guard={"strikes": 1, "rollbacks": 1})
    table = lance.dataset(config.data.uri).to_table()
    place = table.schema.get_field_index("latent")
    poisoned = pa.array([[math.nan] * len(latent) for latent in table["latent"].to_pylist()], pa.list_(pa.float32()))
    version = lance.write_dataset(table.set_column(place, "latent", poisoned), config.data.uri, mode="overwrite").version
    folder = tmp_path / "run"
    with pytest.raises(GaveUp, match="select without them"):
        run(changed(config, data={"version": version}), folder)
    kinds = [event.kind for event in Events(folder, writer="test").all()]
    assert kinds == ["started", "rolled back", "started", "worker died", "failed"]
