"""A training whose worker is killed is one run in the record, with everything that happened to it."""

import os
import signal
import threading
from pathlib import Path

import pytest
from tiny_fit import LINEAGE, changed, of_steps, tiny_fit

from infra.errors import UserError
from infra.session import Session
from models.autoencoder import Autoencoder
from models.bundle import save_bundle
from models.generate import load_autoencoder
from pipelines import fit
from pipelines.overrides import apply
from train.events import Events, num_attempts
from train.meters import readings
from train.preview import PreviewConfig
from train.samples import UnusableTable
from train.watchdog import heartbeats

NUM_STEPS = 60


def _kill_at(step: int, fits: Path, over: threading.Event) -> None:
    """Kill the worker of the only fit once it has done so many steps."""
    while not over.wait(0.02):
        for meters in fits.glob("*/meters.jsonl"):
            beats = heartbeats(meters.parent, 1)
            if 0 in beats and any(reading.step >= step for reading in readings(meters)):
                os.kill(beats[0].pid, signal.SIGKILL)
                return


@pytest.mark.ray
@pytest.mark.slow
def test_a_run_is_one_record_through_all_its_attempts(tracked_session: Session, local_ray: None, tmp_path: Path) -> None:
    preview = PreviewConfig(every_steps=20, prompts=("a red apple", "a fish"), sampler_steps=1)
    config = changed(of_steps(tiny_fit(tmp_path), NUM_STEPS), checkpoint={"every_steps": 10})
    config = config.model_copy(update={"preview": preview})
    over = threading.Event()
    killer = threading.Thread(target=_kill_at, args=(30, Path(tracked_session.settings.root, "fits"), over))
    killer.start()
    try:
        outcome = fit.run(config, tracked_session)
    finally:
        over.set()
        killer.join()
    folder = Path(outcome.outputs["meters"]).parent
    events = Events(folder, writer="test").all()
    assert [event.kind for event in events] == ["started", "worker died", "resumed", "finished"]
    assert events[2].facts["step"] in (20, 30)                       # the newest checkpoint, or the one before if it was torn
    assert num_attempts(events) == 2
    assert [reading.step for reading in readings(folder / "meters.jsonl")] == list(range(1, NUM_STEPS + 1))

    client = tracked_session.tracker.client  # pyright: ignore[reportAttributeAccessIssue]  a real tracker
    run = client.get_run(outcome.run_id)
    assert run.data.tags["attempts"] == "2"
    assert {"train/loss", "train/mfu", "train/tokens_per_s", "train/data_wait_fraction"} <= set(run.data.metrics)
    assert 0 < run.data.metrics["train/goodput"] < 1
    assert 0 < run.data.metrics["train/mfu"] < 1
    assert {entry.step for entry in client.get_metric_history(outcome.run_id, "train/loss")} >= set(range(1, NUM_STEPS + 1))
    shown = {Path(each.path).name.split("+")[2] for each in client.list_artifacts(outcome.run_id, "images")}
    assert shown == {"20", "40", "60"}
    assert client.download_artifacts(outcome.run_id, "events.jsonl", str(tmp_path))


def test_latents_of_another_autoencoder_are_refused_before_ray_starts(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(Session, "start_ray")
    config = tiny_fit(tmp_path)
    other = tmp_path / "other"
    shape = load_autoencoder(tmp_path / "autoencoder")[1]
    save_bundle(other, shape, {"autoencoder": Autoencoder(shape.autoencoder).state_dict()}, lineage=LINEAGE, metrics={})
    with pytest.raises(UnusableTable, match=r"latents of another version than .*; run `seedbed encode`"):
        fit.run(changed(config, objective={"autoencoder": str(other)}), session)


def test_a_selection_of_another_table_is_refused_by_its_first_missing_picture(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(Session, "start_ray")
    config, others = tiny_fit(tmp_path / "one"), tiny_fit(tmp_path / "other", prefix="q")
    with pytest.raises(UnusableTable, match="lacks 10 selected pictures, 'q0' first; select again"):
        fit.run(changed(config, data={"selection": others.data.selection}), session)


def test_workers_that_do_not_divide_the_slots_are_refused(tmp_path: Path) -> None:
    config = tiny_fit(tmp_path)
    with pytest.raises(UserError, match="num_slots=2 must be a multiple of the workers, 3"):
        apply(config, ["num_workers=3"])
    with pytest.raises(UserError, match=r"did you mean 'plan.stages.all.num_steps'"):
        apply(config, ["plan.stages.all.num_step=3"])
