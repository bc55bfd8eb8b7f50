"""A sweep over a real table: variants, their record, the page, and the decision that is picked."""

from pathlib import Path

import lance
import numpy as np
import pytest

from curation import verdict
from curation.evidence import Evidence
from curation.tables import FEATURE_DIM, TableRef
from curation.verdict import DecisionConfig, decide
from infra.errors import UserError
from infra.session import Session
from infra.tracking import Tracker
from pipelines import sweep
from pipelines.__main__ import main
from pipelines.bench import synthetic
from pipelines.sweep import GridAxis, SweepConfig, variants_of

NUM_ROWS = 500
GRID = (GridAxis(path="drop.blurred.limit", values=("5", "50")), GridAxis(path="dedup.near.bits", values=("0", "3")))


@pytest.fixture
def table(tmp_path: Path) -> TableRef:
    import pyarrow as pa

    features = np.zeros((NUM_ROWS, FEATURE_DIM), np.float32)
    features[:, : synthetic.WIDTH] = synthetic.features(0, NUM_ROWS)
    column = pa.FixedSizeListArray.from_arrays(pa.array(features.reshape(-1)), FEATURE_DIM)
    uri = str(tmp_path / "images.lance")
    lance.write_dataset(synthetic.columns(0, NUM_ROWS).append_column("image_features", column), uri)
    return TableRef(uri=uri, version=1)


def _config(table: TableRef, *, grid: tuple[GridAxis, ...] = GRID, pick: int | None = None) -> SweepConfig:
    return SweepConfig(images=table, rules=synthetic.RULES, grid=grid, pick=pick, name="test")


def test_the_grid_is_every_combination_in_order() -> None:
    variants = variants_of(synthetic.RULES, GRID)
    assert [variant.number for variant in variants] == [1, 2, 3, 4]
    assert variants[2].settings == (("drop.blurred.limit", "50"), ("dedup.near.bits", "0"))
    assert variants[2].rules.dedup is not None
    assert variants[2].rules.dedup.near is not None
    assert variants[2].rules.dedup.near.bits == 0
    assert [variant.rules for variant in variants_of(synthetic.RULES, ())] == [synthetic.RULES]


def test_a_grid_that_is_too_large_or_names_no_setting_is_refused() -> None:
    many = tuple(str(number) for number in range(50))
    with pytest.raises(UserError, match=r"50 x 50 = 2,500 variants; at most 2,000"):
        variants_of(synthetic.RULES, (GridAxis(path="seed", values=many), GridAxis(path="drop.dull.limit", values=many)))
    with pytest.raises(UserError, match="no such setting"):
        variants_of(synthetic.RULES, (GridAxis(path="drop.blury.limit", values=("1",)),))


def test_the_picked_decision_is_stored_with_its_recipe(table: TableRef, session: Session) -> None:
    outcome = sweep.run(_config(table, pick=2), session)
    stored = lance.dataset(outcome.outputs["decision"])
    rows = stored.to_table()
    rules = variants_of(synthetic.RULES, GRID)[1].rules
    evidence = Evidence(synthetic.columns(0, NUM_ROWS), features=synthetic.features(0, NUM_ROWS).__getitem__)
    decision = decide(evidence, rules)
    assert rows["id"].to_pylist() == evidence.rows["id"].to_pylist()
    assert rows["reasons"].to_pylist() == decision.reasons.tolist()
    assert [verdict.VERDICTS.index(name) for name in rows["verdict"].to_pylist()] == decision.verdict.tolist()
    metadata = stored.schema.metadata
    assert DecisionConfig.model_validate_json(metadata[b"seedbed.recipe"]) == rules
    assert metadata[b"seedbed.digest"].decode() == verdict.digest(evidence.ids, decision)
    assert metadata[b"seedbed.reasons"].decode().split() == list(decision.names)


def test_the_page_shows_every_variant_and_a_second_run_does_nothing(table: TableRef, session: Session) -> None:
    outcome = sweep.run(_config(table), session)
    page = Path(outcome.outputs["page"]).read_text()
    for text in ("4 ways to decide over 500 rows", "blurred.limit", "dedup.near.bits", "#4", "Jaccard", "synthetic/"):
        assert text in page
    assert "<script" not in page
    assert sweep.run(_config(table), session) == outcome


def test_each_variant_is_a_run_below_the_sweep(table: TableRef, tracked_session: Session) -> None:
    outcome = sweep.run(_config(table), tracked_session)
    tracker = tracked_session.tracker
    assert isinstance(tracker, Tracker)
    found = tracker.client.search_runs([tracker.experiment_id], filter_string="tags.stage = 'variant'")
    assert {run.data.params["dedup.near.bits"] for run in found} == {"0", "3"}
    assert len(found) == 4
    assert {run.data.tags["mlflow.parentRunId"] for run in found} == {outcome.run_id}
    assert all(run.data.metrics["sweep/rows_images"] == NUM_ROWS for run in found)


def test_columns_that_the_rules_read_must_be_there(table: TableRef, session: Session) -> None:
    grid = (GridAxis(path="leaf", values=("category", "mood")),)
    with pytest.raises(UserError, match="has no column 'mood' that the rules read"):
        sweep.run(_config(table, grid=grid), session)
    spaces = (GridAxis(path="features", values=("image_features", "thumbnail")),)
    with pytest.raises(UserError, match="compares by 'thumbnail' as well as 'image_features'; sweep each column apart"):
        sweep.run(_config(table, grid=spaces), session)
    with pytest.raises(UserError, match="pick=9, but the grid has 4 variants"):
        sweep.run(_config(table, pick=9), session)


def test_grids_come_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["sweep", "--root", str(tmp_path), "--grid", "drop.blurred.limit=2,5", "--dry-run"]
    assert main(words) == 0
    assert "path: drop.blurred.limit\n  values:\n  - '2'\n  - '5'\n" in capsys.readouterr().out
    assert main(["sweep", "--root", str(tmp_path), "--grid", "drop.blurred.limit", "--dry-run"]) == 2
    assert "not of the form path=v1,v2" in capsys.readouterr().err
