"""A training whose worker is killed is one run in the record, with everything that happened to it."""

import os
import signal
import threading
import time
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
from train.config import FitConfig
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
    with pytest.raises(UnusableTable, match=r"latent_version other than .*; run `seedbed encode`"):
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


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (["parallel=1"], "there is no such kind, but ddp, fsdp, deepspeed; choose one"),
        (["plan.context_slots=2", "num_workers=2", "objective.dit.num_heads=3"], "cannot be shared by 2 workers"),
        (["min_workers=3"], "min_workers=3 is more than num_workers=1"),
    ],
)
def test_what_workers_would_stumble_over_is_refused_with_the_setting(tmp_path: Path, settings: list[str], told: str) -> None:
    with pytest.raises(UserError, match=told):
        apply(tiny_fit(tmp_path), settings)


def test_engines_refuse_what_they_cannot_do_before_they_are_built(tmp_path: Path) -> None:
    config = tiny_fit(tmp_path)
    with pytest.raises(ValueError, match=r"set optim.matrices=adamw"):
        FitConfig.model_validate({**config.model_dump(), "parallel": {"kind": "deepspeed", "stage": 2}})
    with pytest.raises(ValueError, match=r"replicas=2 must divide the 1 workers"):
        FitConfig.model_validate({**config.model_dump(), "parallel": {"kind": "fsdp", "replicas": 2}})


def test_freezing_what_is_not_there_is_refused_with_what_is(session: Session, tmp_path: Path) -> None:
    config = of_steps(tiny_fit(tmp_path), 4)
    (stage,) = config.plan.stages
    with pytest.raises(UserError, match=r"freezes 'blocs', but no parameter .* begins so; there are: blocks, latent_in"):
        fit.run(changed(config, plan={"stages": (stage.model_copy(update={"frozen": ("blocs",)}),)}), session)


def test_a_run_is_the_same_on_other_workers_and_another_with_another_seed(tmp_path: Path) -> None:
    config = tiny_fit(tmp_path)
    elsewhere = FitConfig.model_validate(
        {**config.model_dump(), "num_workers": 2, "hang_s": 5.0, "parallel": {"kind": "fsdp"}, "log_every_steps": 7}
    )
    assert elsewhere.identity() == config.identity()
    assert changed(config, plan={"seed": 1}).identity() != config.identity()


@pytest.mark.ray
@pytest.mark.slow
def test_an_interrupted_run_goes_on_with_other_workers(session: Session, local_ray: None, tmp_path: Path) -> None:
    config = changed(of_steps(tiny_fit(tmp_path), NUM_STEPS), checkpoint={"every_steps": 10})
    interrupt = threading.Timer(0, _interrupt_at, args=(20, Path(session.settings.root, "fits")))
    interrupt.start()
    with pytest.raises(KeyboardInterrupt):
        fit.run(config, session)
    outcome = fit.run(config.model_copy(update={"num_workers": 2}), session)
    events = Events(Path(outcome.outputs["meters"]).parent, writer="test").all()
    assert [event.kind for event in events if event.kind != "straggler"] == ["started", "interrupted", "resumed", "finished"]
    assert [event.facts["num_workers"] for event in events if event.kind in ("started", "resumed")] == [1, 2]


def _interrupt_at(step: int, fits: Path) -> None:
    """Press Ctrl-C once the only fit has done so many steps."""
    while not any(reading.step >= step for meters in fits.glob("*/meters.jsonl") for reading in readings(meters)):
        time.sleep(0.02)
    os.kill(os.getpid(), signal.SIGINT)
