import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from infra.errors import UserError
from infra.settings import Settings
from infra.storage import Workspace
from models.bundle import read_manifest
from pipelines.lineage import command, keep_evidence, trace_picture, tree_lines
from pipelines.serve.stamp import Stamp, encode_stamped_png


@pytest.fixture
def served(generator: Path, tmp_path: Path) -> Path:
    file = tmp_path / "served.png"
    stamp = Stamp(bundle=read_manifest(generator).digest, run="run-of-generator", seed=5, references=2)
    file.write_bytes(encode_stamped_png(np.zeros((4, 4, 3), dtype=np.uint8), stamp))
    return file


def test_a_picture_leads_to_bundle_run_selection_table_and_sources(served: Path, workspace: Workspace):
    lineage = trace_picture(served, workspace)
    bundle = lineage.bundle
    assert (bundle.kind, bundle.run) == ("generator", "run-of-generator")
    assert bundle.record.endswith("jobs/fit-f1.json")
    assert [(table.uri, table.version) for table in bundle.tables] == [(workspace.uri("tables", "images.lance"), 1)]
    assert bundle.evidence is not None
    assert bundle.evidence.table.selection == workspace.uri("selections", "food-1.lance")
    assert bundle.evidence.licences == {"CC BY 4.0": 1, "CC BY-SA 4.0": 1}
    assert [row.id for row in bundle.evidence.rows] == ["emoji/apple", "emoji/bear", "composed/1"]
    assert [(parent.kind, parent.run) for parent in bundle.parents] == [("autoencoder", "run-of-autoencoder")]


def test_the_tree_shows_the_way_and_counts_what_it_leaves_out(served: Path, workspace: Workspace):
    text = "\n".join(tree_lines(trace_picture(served, workspace), num_rows=1))
    for expected in ("seed 5, from 2 pictures", "run run-of-generator", "version 1", "food-1.lance", "compose 1", "BY-SA 4.0: 1"):
        assert expected in text, expected
    assert "emoji/apple  “apple”  CC BY 4.0  (compose)" in text
    assert "emoji/bear  " not in text
    assert "… 1 more (--rows 2, or --json)" in text
    assert text.count("└─ parent\n") == 1


def test_the_command_prints_json_with_every_row(served: Path, settings: Settings, capsys: pytest.CaptureFixture[str]):
    assert command([str(served), "--json"], settings) == 0
    printed = json.loads(capsys.readouterr().out)
    assert [row["id"] for row in printed["bundle"]["evidence"]["rows"]] == ["emoji/apple", "emoji/bear", "composed/1"]


def test_kept_evidence_stays_when_the_tables_are_gone(served: Path, generator: Path, workspace: Workspace):
    before = trace_picture(served, workspace).bundle.evidence
    digest = read_manifest(generator).digest
    keep_evidence(generator)
    shutil.rmtree(workspace.local("tables"))
    after = trace_picture(served, workspace).bundle
    assert after.evidence == before
    assert read_manifest(generator).digest == digest


def test_tables_that_are_gone_are_said_to_be_gone(served: Path, workspace: Workspace):
    shutil.rmtree(workspace.local("tables"))
    bundle = trace_picture(served, workspace).bundle
    assert bundle.evidence is None
    assert "no table at" in bundle.note
    assert "no source rows: no table at" in "\n".join(tree_lines(trace_picture(served, workspace), num_rows=1))


def test_a_picture_of_an_unknown_bundle_is_refused(tmp_path: Path, workspace: Workspace):
    file = tmp_path / "far.png"
    stamp = Stamp(bundle="ffffffffffff", run="r", seed=1, references=0)
    file.write_bytes(encode_stamped_png(np.zeros((4, 4, 3), dtype=np.uint8), stamp))
    with pytest.raises(UserError, match="bundle ffffffffffff, which is neither in"):
        trace_picture(file, workspace)


def test_a_parent_that_is_elsewhere_is_named(served: Path, workspace: Workspace):
    shutil.rmtree(workspace.local("bundles", "autoencoder-1"))
    (parent,) = trace_picture(served, workspace).bundle.parents
    assert (parent.folder, parent.note) == ("", "this bundle is not on this machine")
