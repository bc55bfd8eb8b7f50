"""A run that is killed and started again ends where an undisturbed one ends."""

import hashlib
import subprocess
import sys
import time
from pathlib import Path

import pytest

from models.bundle import Lineage
from train.config import FitConfig
from train.fitting import FitFolder, fit
from train.meters import readings
from train.parallel.world import World


def train(config: FitConfig, place: Path, lineage: Lineage) -> None:
    place.mkdir(exist_ok=True)
    fit(config, lineage, FitFolder(place), bundle=place / "bundle", world=World(0, 1))


def weights_digest(bundle: Path) -> str:
    return hashlib.sha256((bundle / "dit.safetensors").read_bytes()).hexdigest()


def longer(config: FitConfig, num_steps: int) -> FitConfig:
    (stage,) = config.plan.stages
    plan = config.plan.model_copy(update={"stages": (stage.model_copy(update={"num_steps": num_steps}),)})
    return config.model_copy(update={"plan": plan})


def losses(place: Path) -> list[tuple[int, float]]:
    return [(reading.step, reading.values["loss"]) for reading in readings(place / "meters.jsonl")]


def test_killed_and_resumed_it_follows_the_same_curve(fit_config: FitConfig, lineage: Lineage, tmp_path: Path) -> None:
    config = longer(fit_config, 60)
    train(config, tmp_path / "straight", lineage)
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "config.json").write_text(config.model_dump_json())
    (broken / "lineage.json").write_text(lineage.model_dump_json())
    worker = subprocess.Popen([sys.executable, str(Path(__file__).with_name("run_fit.py")), "0", "1", "", str(broken)])
    while not any((broken / "checkpoints").glob("step-*")) and worker.poll() is None:
        time.sleep(0.005)
    worker.kill()
    worker.wait()
    assert not (broken / "bundle").exists(), "it ended before it could be killed"
    train(config, broken, lineage)
    assert losses(broken) == losses(tmp_path / "straight")
    assert weights_digest(broken / "bundle") == weights_digest(tmp_path / "straight" / "bundle")


def test_it_learns(fit_config: FitConfig, lineage: Lineage, tmp_path: Path) -> None:
    train(longer(fit_config, 200), tmp_path / "run", lineage)
    curve = [loss for _, loss in losses(tmp_path / "run")]
    assert sum(curve[-40:]) < 0.8 * sum(curve[:40])


def test_one_slot_and_two_give_the_same_curve_up_to_rounding(fit_config: FitConfig, lineage: Lineage, tmp_path: Path) -> None:
    train(fit_config, tmp_path / "two", lineage)
    one = fit_config.model_copy(update={"plan": fit_config.plan.model_copy(update={"num_slots": 1})})
    train(one, tmp_path / "one", lineage)
    for (_, loss), (_, same) in zip(losses(tmp_path / "two"), losses(tmp_path / "one"), strict=True):
        assert loss == pytest.approx(same, rel=1e-4)
