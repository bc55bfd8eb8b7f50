from datetime import UTC, datetime
from pathlib import Path

import pytest

from curation.tables import MissingTable
from infra.errors import UserError
from infra.session import Session
from models.bundle import read_manifest
from pipelines.job import Outcome
from pipelines.lineage import EVIDENCE_FILE, trace_bundle
from pipelines.promote import (
    AtLeast,
    AtMost,
    AtMostShare,
    Condition,
    GateNotPassed,
    PromoteConfig,
    check_gate,
    refused,
    run,
)
from pipelines.serve.choice import champion_or_pretrained

METRICS = {"eval/retrieval_r1/t2i": 0.6, "eval/frechet/generated": 40.0, "eval/frechet/noise": 100.0}
GATE: tuple[Condition, ...] = (
    AtLeast(metric="eval/retrieval_r1/t2i", value=0.5),
    AtMostShare(metric="eval/frechet/generated", share=0.5, of="eval/frechet/noise"),
)


def record_evaluation(session: Session, bundle_digest: str) -> None:
    outcome = Outcome(
        job="evaluate", digest="e1", finished=datetime.now(UTC), seconds=1, rows_in=1, rows_out=1, quarantined=0,
        outputs={"bundle_digest": bundle_digest}, metrics=METRICS, run_id="", note="", bytes=0,
    )  # fmt: skip
    session.workspace.write_text(outcome.model_dump_json(), "jobs", "evaluate-e1.json")


def config(bundle: Path | str, gate: tuple[Condition, ...] = GATE) -> PromoteConfig:
    return PromoteConfig(bundle=str(bundle), evaluation="e1", gate=gate)


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        (AtLeast(metric="a", value=2), True),
        (AtLeast(metric="a", value=2.1), False),
        (AtMost(metric="a", value=2), True),
        (AtMost(metric="a", value=1.9), False),
        (AtMostShare(metric="a", share=0.5, of="b"), True),
        (AtMostShare(metric="a", share=0.4, of="b"), False),
        (AtLeast(metric="unmeasured", value=-1e9), False),
        (AtMostShare(metric="a", share=1, of="unmeasured"), False),
    ],
)
def test_each_condition_holds_up_to_its_limit(condition: Condition, holds: bool):
    (finding,) = check_gate((condition,), {"a": 2.0, "b": 4.0})
    assert finding.holds is holds


def test_a_promoted_bundle_is_the_champion(tracked_session: Session, generator: Path):
    record_evaluation(tracked_session, read_manifest(generator).digest)
    outcome = run(config(generator), tracked_session)
    assert outcome.outputs == {"version": "1", "bundle_digest": read_manifest(generator).digest}
    assert champion_or_pretrained(tracked_session) == str(generator)
    assert trace_bundle(read_manifest(generator).digest, tracked_session.workspace).evidence is not None
    assert (generator / EVIDENCE_FILE).is_file()


def test_a_bundle_whose_tables_are_gone_is_not_promoted(tracked_session: Session, tiny_generator: Path):
    record_evaluation(tracked_session, read_manifest(tiny_generator).digest)
    with pytest.raises(MissingTable, match="/nowhere/"):
        run(config(tiny_generator), tracked_session)
    with pytest.raises(UserError):
        tracked_session.registry.resolve("generator", "champion")


def test_promoting_again_takes_the_alias_back(tracked_session: Session, generator: Path):
    record_evaluation(tracked_session, read_manifest(generator).digest)
    first = run(config(generator), tracked_session)
    other = tracked_session.registry.register("/elsewhere", "generator", "", {})
    tracked_session.registry.set_alias("generator", "champion", other)
    assert run(config(generator), tracked_session).run_id == first.run_id
    assert champion_or_pretrained(tracked_session) == str(generator)


def test_a_gate_that_does_not_hold_registers_nothing(tracked_session: Session, generator: Path):
    record_evaluation(tracked_session, read_manifest(generator).digest)
    gate = (*GATE, AtLeast(metric="eval/retrieval_r1/t2i", value=0.9), AtMost(metric="eval/frechet/generated", value=30))
    with pytest.raises(UserError) as caught:
        run(config(generator, gate), tracked_session)
    assert "retrieval_r1/t2i is 0.6, expected at least 0.9" in str(caught.value)
    assert "frechet/generated is 40, expected at most 30" in str(caught.value)
    with pytest.raises(UserError):
        tracked_session.registry.resolve("generator", "champion")
    assert not list(tracked_session.workspace.local("jobs").glob("promote*"))


def test_a_refusal_is_an_outcome_that_says_why(tracked_session: Session, generator: Path):
    record_evaluation(tracked_session, read_manifest(generator).digest)
    strict = config(generator, (AtLeast(metric="eval/retrieval_r1/t2i", value=0.9),))
    with pytest.raises(GateNotPassed) as caught:
        run(strict, tracked_session)
    outcome = refused(strict, caught.value)
    assert (outcome.rows_in, outcome.rows_out) == (1, 0)
    assert "is 0.6, expected at least 0.9" in outcome.note


def test_an_evaluation_of_another_bundle_does_not_count(tracked_session: Session, generator: Path):
    record_evaluation(tracked_session, "0123456789ab")
    with pytest.raises(UserError, match="evaluation e1 is of bundle 0123456789ab"):
        run(config(generator), tracked_session)


def test_a_missing_evaluation_is_named(tracked_session: Session, generator: Path):
    with pytest.raises(UserError, match=r"evaluate-e1\.json"):
        run(config(generator), tracked_session)
