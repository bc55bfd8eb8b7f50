"""Standing verdicts on a real table: set in one commit, only where they change, and counted."""

from pathlib import Path

import lance
import numpy as np
import pyarrow as pa
import pytest

from curation.judging import FeatureColumn, judge_table
from curation.signals import SIGNALS
from curation.tables import FEATURE_DIM, IMAGES_SCHEMA, MEASURED_SCHEMA, TableRef, pin
from infra.errors import UserError
from pipelines.overrides import apply
from pipelines.recipes.curate import DRAWINGS

NUM = 8


def _rows() -> pa.Table:
    """A good picture, the same file again, a near one, one near in hash only, a dull one, two that failed, one still to do."""
    text = {field.name: "" for field in IMAGES_SCHEMA} | {"parents": [], "image": None, "text_en": "an apple", "category": "food"}
    measured = {"width_px": 64, "height_px": 64, "sharpness": 50.0, "colourfulness": 1.0, "alpha_cover": 0.5}
    features = np.eye(NUM, FEATURE_DIM, dtype=np.float32)
    features[2] = features[0]
    rows = [
        {
            **text, **measured, "id": f"row/{number}", "exact_hash": f"h{number}", "perceptual_hash": number << 20,
            "image_features": features[number].tolist(), **{one.version_column: one.version for one in SIGNALS},
            **{one.error_column: None for one in SIGNALS},
        }
        for number in range(NUM)
    ]  # fmt: skip
    rows[1] |= {"exact_hash": "h0", "thumbnail": bytes([255, *[0] * 255])}
    rows[2] |= {"perceptual_hash": 1}
    rows[3] |= {"perceptual_hash": 2}
    rows[4] |= {"sharpness": 0.5, "text_en": " "}
    for number, error in ((5, "unreadable: cut short"), (6, "OSError: nobody knows")):
        rows[number] |= dict.fromkeys(MEASURED_SCHEMA.names) | {SIGNALS[0].error_column: error}
    rows[7] |= dict.fromkeys([*MEASURED_SCHEMA.names, SIGNALS[0].version_column])
    engine = [field for one in SIGNALS for field in one.schema if field.name not in MEASURED_SCHEMA.names]
    return pa.Table.from_pylist(rows, schema=pa.schema([*IMAGES_SCHEMA, *MEASURED_SCHEMA, *engine]))


@pytest.fixture
def table(tmp_path: Path) -> TableRef:
    uri = str(tmp_path / "images.lance")
    lance.write_dataset(_rows(), uri, max_rows_per_file=3)
    return pin(TableRef(uri=uri))


def _verdicts(ref: TableRef) -> dict[str, tuple[str | None, list[str] | None]]:
    rows = lance.dataset(ref.uri, version=ref.version).to_table(columns=["id", "verdict", "verdict_reasons"]).to_pylist()
    return {row["id"]: (row["verdict"], row["verdict_reasons"]) for row in rows}


def test_measured_rows_get_a_verdict_with_all_reasons_and_the_others_wait(table: TableRef) -> None:
    judged, counts = judge_table(table, DRAWINGS)
    assert _verdicts(judged) == {
        "row/0": ("kept", []), "row/1": ("dropped", ["duplicate_exact"]), "row/2": ("dropped", ["duplicate_near"]),
        "row/3": ("kept", []), "row/4": ("dropped", ["blurred", "no_text"]), "row/5": ("quarantined", ["unreadable"]),
        "row/6": ("quarantined", ["failed"]), "row/7": (None, None),
    }  # fmt: skip
    (*_, total) = counts.to_pylist()
    assert (total["rows"], total["kept"], total["dropped"], total["quarantined"]) == (7, 2, 3, 2)
    assert (total["blurred"], total["no_text"]) == (1, 0)       # under its first reason


def test_the_same_rules_again_commit_nothing_and_others_only_what_changes(table: TableRef) -> None:
    judged, _ = judge_table(table, DRAWINGS)
    again, _ = judge_table(table, DRAWINGS)
    assert again.version == judged.version
    strict, counts = judge_table(table, apply(DRAWINGS, ["drop.too_small.limit=65"]))
    assert strict.version != judged.version
    assert counts.to_pylist()[-1]["kept"] == 0
    assert _verdicts(strict)["row/1"] == ("dropped", ["too_small"])


def test_only_the_rows_that_are_asked_for_change(table: TableRef) -> None:
    judged, counts = judge_table(table, DRAWINGS, only=frozenset({"row/1", "row/3"}))
    assert {name for name, (verdict, _) in _verdicts(judged).items() if verdict} == {"row/1", "row/3"}
    assert counts.to_pylist()[-1]["rows"] == 2


def test_a_reason_that_no_standing_verdict_has_is_refused(table: TableRef) -> None:
    with pytest.raises(UserError, match="reason 'ugly' is not one of a standing verdict"):
        judge_table(table, apply(DRAWINGS, ["drop.blank.reason=ugly"]))


def test_features_are_found_by_row_and_missing_ones_are_zero(table: TableRef) -> None:
    dataset = lance.dataset(table.uri)
    row_ids = dataset.to_table(columns=[], with_row_id=True)["_rowid"]
    found = FeatureColumn(dataset, "image_features", row_ids)(np.array([3, 5, 0, 3]))
    assert found.argmax(axis=1).tolist() == [3, 0, 0, 3]
    assert found.sum(axis=1).tolist() == [1, 0, 1, 1]
    assert FeatureColumn(dataset, "image_features", row_ids)(np.array([], np.int64)).shape == (0, FEATURE_DIM)
    with pytest.raises(UserError, match="no column 'joint8' to compare by"):
        FeatureColumn(dataset, "joint8", row_ids)(np.array([0]))


def test_thumbnails_are_compared_less_their_means(table: TableRef) -> None:
    dataset = lance.dataset(table.uri)
    row_ids = dataset.to_table(columns=[], with_row_id=True)["_rowid"]
    found = FeatureColumn(dataset, "thumbnail", row_ids)(np.array([1, 5]))
    mean = 255 / 256
    assert found[0].tolist() == [255 - mean, *[-mean] * 255]
    assert not found[1].any()


def test_rules_that_read_what_nobody_measured_say_so(table: TableRef) -> None:
    with pytest.raises(UserError, match=r"the rules read column 'leaf', which .* lacks; measure it"):
        judge_table(table, apply(DRAWINGS, ["leaf=leaf"]))
