from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

import lance
import numpy as np
import pyarrow as pa
import pytest

from curation.evidence import Evidence
from curation.signals.alignment import AlignmentConfig
from curation.tables import IMAGES_SCHEMA, REASONS, MissingTable, TableRef, pin
from curation.taxonomy.assignment import UNASSIGNED
from curation.verdict import columns_of, decide, reasons_of
from infra.errors import UserError
from infra.storage import Workspace
from pipelines.job import Outcome
from pipelines.measuring import signals_of
from pipelines.overrides import validated
from pipelines.recipes import curate, sweep
from pipelines.recipes.encode import default as encode_default


@pytest.mark.parametrize("job", ["ingest", "curate", "caption", "pairs", "select"])
def test_the_default_recipe_is_whole_and_stays_in_the_workspace(job: str, workspace: Workspace) -> None:
    config = import_module(f"pipelines.recipes.{job}").default(workspace)
    assert type(config).model_validate_json(config.model_dump_json()) == config
    assert workspace.uri("tables", "images.lance") in config.model_dump_json()


def record(workspace: Workspace, job: str, outputs: dict[str, str]) -> None:
    """A finished job whose outputs are there."""
    for place in outputs.values():
        if place.startswith("/"):
            Path(place).mkdir(parents=True, exist_ok=True)
    outcome = Outcome(
        job=job, digest="d1", finished=datetime.now(UTC), seconds=1, rows_in=1, rows_out=1, quarantined=0, outputs=outputs,
        metrics={}, run_id="", note="", bytes=0,
    )  # fmt: skip
    workspace.write_text(outcome.model_dump_json(), "jobs", f"{job}-d1.json")


def test_encoding_by_default_asks_for_what_is_missing(workspace: Workspace) -> None:
    with pytest.raises(UserError, match="run `seedbed select` first"):
        encode_default(workspace)
    images, selection = workspace.uri("tables", "images.lance"), workspace.uri("selections", "a-1.lance")
    record(workspace, "select", {"images": images, "selection": selection, "version": "1"})
    with pytest.raises(UserError, match="run `seedbed fit autoencoder` first"):
        encode_default(workspace)
    bundle = workspace.uri("bundles", "autoencoder-1")
    record(workspace, "fit", {"name": "autoencoder", "bundle": bundle})
    config = encode_default(workspace)
    assert (config.images.uri, config.images.selection, config.bundle) == (images, selection, bundle)


@pytest.mark.parametrize("recipe", ["default", "photographs", "knowledge"])
def test_the_rules_of_a_curation_recipe_read_what_its_signals_fill_and_give_standing_reasons(
    recipe: str, workspace: Workspace
) -> None:
    config = getattr(curate, recipe)(workspace)
    assert type(config).model_validate_json(config.model_dump_json()) == config
    filled = {name for one in signals_of(config.signals, workspace) for name in one.schema.names}
    assert set(columns_of(config.rules)) - set(IMAGES_SCHEMA.names) <= filled
    errors = {one.error_column for one in signals_of(config.signals, workspace)}
    assert set(config.rules.quarantine.columns) == errors, "whatever fails sets a row aside"
    assert set(reasons_of(config.rules)) <= set(REASONS)


def test_photographs_are_judged_by_the_limits_of_their_leaf(workspace: Workspace) -> None:
    rules = curate.photographs(workspace).rules
    good = {
        "width_px": 900, "height_px": 900, "sharpness": 300.0, "nsfw_score": 0.01, "defect_area": 0.1, "text_area": 0.1,
        "text_quality_kind": "clean", "text_language": "en", "leaf": "nature/mountains",
    }  # fmt: skip
    changes: dict[str, dict[str, object]] = {
        "good": {}, "page": {"leaf": "documents/book_page", "text_area": 0.7}, "much": {"text_area": 0.7},
        "watermarked": {"defect_area": 0.25}, "unsafe": {"nsfw_score": 0.5}, "soft hill": {"sharpness": 22.0},
        "soft cat": {"leaf": "animals/cats", "sharpness": 22.0}, "named": {"text_quality_kind": "file_name"},
        "unmeasured": {"nsfw_score": None},
    }  # fmt: skip
    rows = [good | change | {"id": name} for name, change in changes.items()]
    table = pa.Table.from_pylist([row | dict.fromkeys(rules.quarantine.columns) for row in rows])
    for name in rules.quarantine.columns:
        table = table.set_column(table.schema.get_field_index(name), name, pa.nulls(len(rows), pa.string()))
    decision = decide(Evidence(table), validated(type(rules), {**rules.model_dump(), "dedup": None}))
    first = ["" if place < 0 else decision.names[place] for place in decision.first_reason.tolist()]
    assert dict(zip(changes, first, strict=True)) == {
        "good": "", "page": "", "much": "too_much_text", "watermarked": "overlaid", "unsafe": "unsafe", "soft cat": "blurred",
        "soft hill": "", "named": "bad_text", "unmeasured": "unmeasured",
    }  # fmt: skip


def test_alignment_is_by_the_newest_head_on_record(workspace: Workspace) -> None:
    with pytest.raises(UserError, match="run `seedbed fit contrastive` first"):
        curate.aligned(workspace)
    bundle = workspace.uri("bundles", "contrastive-1")
    record(workspace, "fit", {"name": "contrastive", "bundle": bundle})
    config = curate.aligned(workspace)
    (head,) = (one for one in config.signals if isinstance(one, AlignmentConfig))
    assert getattr(head.model, "bundle", None) == bundle
    assert config.rules.drop[:-1] == curate.photographs(workspace).rules.drop
    assert config.rules.drop[-1].reason == "misaligned"


def test_scenarios_cut_plentiful_leaves_to_their_share_of_what_was_kept(workspace: Workspace) -> None:
    uri = workspace.uri("tables", "images.lance")
    workspace.local("tables").mkdir(parents=True)
    lance.write_dataset(pa.table({"id": ["a"]}), uri)
    with pytest.raises(MissingTable, match="run `seedbed curate photographs` first"):
        sweep.scenarios(workspace)
    leaves = np.repeat(["animals/cats", "food/coffee", UNASSIGNED, "animals/cats"], [30, 2, 5, 9])
    verdicts = np.repeat(["kept", "kept", "kept", "dropped"], [30, 2, 5, 9])
    columns = {"id": [str(place) for place in range(46)], "leaf": leaves, "verdict": verdicts}
    columns |= {"leaf_score": np.ones(46, np.float32), "further_leaves": [[]] * 46}
    lance.write_dataset(pa.table(columns), uri, mode="overwrite")
    config = sweep.scenarios(workspace)
    assert config.rules.quotas is not None
    taken = {leaf: number for leaf, number in config.rules.quotas.rows if number}
    assert taken == {"animals/cats": 14, "food/coffee": 2}
    assert (config.rules.quotas.otherwise, config.pick) == (0, 1)
    assert config.images == pin(TableRef(uri=uri))
