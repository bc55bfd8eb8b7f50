"""Takedowns on real tables: bytes are looked for by the tests themselves, in every file of the workspace."""

import json
import os
from pathlib import Path
from socket import gethostname

import lance
import numpy as np
import pyarrow as pa
import pytest

from curation import commit
from curation.blocked import set_aside
from curation.selections import read_selection
from curation.signals import hashes
from curation.staging import Staging
from curation.tables import (
    IMAGES_SCHEMA,
    PAIRS_SCHEMA,
    SELECTION_SCHEMA,
    MissingTable,
    SupersededTable,
    TableRef,
    open_table,
    pin,
    stamped,
)
from curation.takedown import Certificate, Record, Request, read_blocked, read_record
from eval.samples import picture_file
from infra.errors import UserError
from infra.settings import Settings
from infra.storage import Workspace
from models.autoencoder import Autoencoder, AutoencoderConfig
from models.bundle import AutoencoderBundle, Lineage, TableVersion, save_bundle
from pipelines import exports
from pipelines.curate_page import Shown, picture_of
from pipelines.takedown import STEPS, Premises, command, prepared, survey

NAMES = ("apple", "bear", "cat", "dog")
PICTURES = {name: np.random.default_rng(seed).bytes(2000 + 300 * seed) for seed, name in enumerate([*NAMES, "both", "mirrored"])}
PERCEPTUAL = {"apple": 0b1111, "bear": 0xFF00, "cat": 0b0111, "dog": 0xFFFF0000, "both": 1 << 40, "mirrored": 1 << 50}


def _picture(row_id: str, picture: str, *parents: str) -> dict:
    row = {field.name: "" for field in IMAGES_SCHEMA} | {"id": row_id, "parents": list(parents), "image": PICTURES[picture]}
    return row | {"source": "composed" if parents else row_id.split("/")[0], "locator": picture, "text_en": picture}


def _sample(task: str, target: str, *references: str, split: str = "train") -> dict:
    row = {"sample_id": f"{task}/{target}", "task": task, "target_id": target, "reference_ids": list(references)}
    row |= {"further_ids": [], "tags": [], "texts": [target], "text_weights": [1.0], "score_text": target}
    return row | {"split": split, "weight": 2.0}


def _measured(rows: list[dict]) -> pa.Table:
    table = pa.Table.from_pylist(rows, schema=IMAGES_SCHEMA)
    values = {
        "width_px": [8] * len(rows), "height_px": [8] * len(rows),
        "exact_hash": [hashes.exact_hash(row["image"]) for row in rows],
        "perceptual_hash": [PERCEPTUAL[row["text_en"]] for row in rows],
        "hashes_version": [hashes.SIGNAL.version] * len(rows),
    }  # fmt: skip
    for field in hashes.SIGNAL.schema:
        table = table.append_column(field, pa.array(values.get(field.name, [None] * len(rows)), field.type))
    return table.cast(stamped(table.schema))


@pytest.fixture
def premises(workspace: Workspace, settings: Settings) -> Premises:
    """Four pictures of two sources, one again under another id, two generations of composed ones, in all that may hold them."""
    workspace.local("tables").mkdir(parents=True)
    workspace.local("selections").mkdir()
    first = [_picture(f"emoji/{name}", name) for name in NAMES[:3]]
    images = workspace.uri("tables", "images.lance")
    lance.write_dataset(_measured(first), images)
    rest = [_picture("folder/dog", "dog"), _picture("folder/apple-again", "apple")]
    rest += [_picture("composed/1", "both", "emoji/apple", "emoji/bear"), _picture("composed/2", "mirrored", "composed/1")]
    lance.write_dataset(_measured(rest), images, mode="append").tags.create("released", 2)
    pair = {"id": "p", "task": "edit", "kind": "mirror", "reference_ids": ["composed/1"], "target_id": "composed/2"}
    texts = {"instructions_en": ["x"], "instructions_zh": ["x"], "target_caption_en": "x", "category": "", "split": "train"}
    texts |= {"further_ids": []}
    pairs = [pair | texts, pair | texts | {"id": "q", "reference_ids": ["emoji/cat"], "target_id": "folder/dog"}]
    lance.write_dataset(pa.Table.from_pylist(pairs, schema=stamped(PAIRS_SCHEMA)), workspace.uri("tables", "pairs.lance"))
    for name, samples in {
        "hit-1": [_sample("t2i", "emoji/apple"), _sample("t2i", "emoji/cat"), _sample("edit", "composed/2", "composed/1")],
        "heldout-1": [_sample("t2i", "emoji/apple", split="heldout"), _sample("t2i", "emoji/cat")],
        "free-1": [_sample("t2i", "emoji/cat"), _sample("t2i", "folder/dog")],
    }.items():
        rows = pa.Table.from_pylist(samples, schema=stamped(SELECTION_SCHEMA))
        lance.write_dataset(rows, workspace.uri("selections", f"{name}.lance"))
    _trained(workspace)
    _shown(workspace)
    cached = settings.cache_dir / "emoji-8px" / "apple.png"
    cached.parent.mkdir(parents=True)
    cached.write_bytes(PICTURES["apple"])
    Staging(images, "latent", "1", 0).keep("unit", pa.table({"image": [PICTURES["apple"]]}))
    return Premises(workspace, settings.cache_dir, None)


def _trained(workspace: Workspace) -> None:
    shape = AutoencoderConfig(patch=4, widths=(16,), encoder_blocks=(1,), decoder_blocks=(1,), latent_channels=4, retouch_width=4)
    contents, weights = AutoencoderBundle(autoencoder=shape, size_px=32), {"autoencoder": Autoencoder(shape).state_dict()}
    parents: tuple[str, ...] = ()
    for number, (name, selection) in enumerate([("hit", "hit-1"), ("built-on-hit", "free-1"), ("heldout", "heldout-1")]):
        lineage = Lineage(
            run_id=name, tables=(), code="c0de", parents=parents,
            selection=TableVersion(uri=workspace.uri("selections", f"{selection}.lance"), version=1),
        )  # fmt: skip
        shifted = {"autoencoder": {key: value + number for key, value in weights["autoencoder"].items()}}
        made = save_bundle(workspace.local("bundles", f"{name}-b"), contents, shifted, lineage=lineage, metrics={})
        parents = (made.digest,) if name == "hit" else ()
        config = {"name": name, "data": {"selection": workspace.uri("selections", f"{selection}.lance")}}
        workspace.write_text(json.dumps(config), "jobs", f"fit-{name}.yaml")


def _shown(workspace: Workspace) -> None:
    for name, row_id, picture in [("e1", "emoji/apple", "apple"), ("e2", "emoji/cat", "cat")]:
        file = workspace.local("evaluations", name, picture_file(row_id))
        file.parent.mkdir(parents=True)
        file.write_bytes(PICTURES[picture])
        workspace.write_text(json.dumps({"evaluation": f"/w/evaluations/{name}"}), "jobs", f"visit-of-{name}.yaml")
        workspace.write_text("answer", "visits", f"of-{name}", "t2i", "00.png")
        workspace.write_text(json.dumps({"job": "evaluate", "run_id": f"run-{name}"}), "jobs", f"evaluate-{name}.json")
        workspace.write_text("a grid", "mlartifacts", f"run-{name}", "artifacts", "grids", "t2i.png")
    workspace.write_text("a page with pictures", "report.html")
    for name, row_id in [("c1", "emoji/apple"), ("c2", "emoji/apple-tart")]:
        picture = Shown(thumbnail=b"webp", values={}, errors={}, winner=None)
        for place in (("reports",), ("mlartifacts", f"run-{name}", "artifacts")):     # of a job that left no record
            workspace.write_text(picture_of(row_id, picture, "kept"), *place, f"curate-{name}.html")


def _files_with(content: bytes, *folders: Path) -> list[str]:
    files = [file for folder in folders for file in folder.rglob("*") if file.is_file()]
    return sorted(file.name for file in files if content in file.read_bytes())


def _holding(premises: Premises, name: str) -> list[str]:
    return _files_with(PICTURES[name], premises.workspace.local(), premises.cache_dir)


def _ids(premises: Premises, table: str = "images") -> list[str]:
    dataset = open_table(pin(TableRef(uri=premises.workspace.uri("tables", f"{table}.lance"))))
    return sorted(dataset.to_table(columns=["id"])["id"].to_pylist())


def _contents(premises: Premises) -> dict[str, bytes]:
    folders = (premises.workspace.local(), premises.cache_dir)
    return {str(file): file.read_bytes() for folder in folders for file in folder.rglob("*") if file.is_file()}


def _selection(premises: Premises, name: str) -> str:
    return premises.workspace.uri("selections", f"{name}.lance")


APPLE = Request(ids=("emoji/apple",))


def _record(premises: Premises) -> Record:
    record = read_record(premises.workspace, APPLE)
    assert record is not None
    return record


def test_a_takedown_erases_the_bytes_of_the_picture_and_of_all_composed_from_it(premises: Premises, settings: Settings):
    for name in ("apple", "both", "mirrored"):
        assert _holding(premises, name), name
    assert command(["--id", "emoji/apple", "--reason", "asked by its author", "--yes"], settings) == 0
    for name in ("apple", "both", "mirrored"):
        assert _holding(premises, name) == [], name
    for name in ("bear", "cat", "dog"):
        assert _holding(premises, name), name
    assert _ids(premises) == ["emoji/bear", "emoji/cat", "folder/dog"]
    assert _ids(premises, "pairs") == ["q"]
    rows = {row.id: row.why for row in _record(premises).affected.rows}
    assert rows == {"emoji/apple": "named", "folder/apple-again": "equal", "composed/1": "composed", "composed/2": "composed"}


def test_rows_that_stay_are_as_they_were(premises: Premises, settings: Settings):
    uri = premises.workspace.uri("tables", "images.lance")
    before = {row["id"]: row for row in lance.dataset(uri).to_table().to_pylist()}
    command(["--id", "emoji/apple", "--yes"], settings)
    assert all(row == before[row["id"]] for row in lance.dataset(uri).to_table().to_pylist())


def test_older_versions_and_tags_go_with_the_rows(premises: Premises, settings: Settings):
    uri = premises.workspace.uri("tables", "images.lance")
    command(["--id", "emoji/apple", "--yes"], settings)
    assert len(lance.dataset(uri).versions()) == 1
    assert lance.dataset(uri).tags.list() == {}
    with pytest.raises(MissingTable, match="at version 2"):
        open_table(TableRef(uri=uri, version=2))


def test_an_affected_selection_gets_a_successor_and_refuses_by_name(premises: Premises, settings: Settings):
    command(["--id", "emoji/apple", "--yes"], settings)
    record = _record(premises)
    successor = f"{_selection(premises, 'hit-1').removesuffix('.lance')}-without-{record.id}.lance"
    for version in (None, 1):
        with pytest.raises(SupersededTable, match=f"taken down.*{successor}"):
            open_table(pin(TableRef(uri=_selection(premises, "hit-1"), version=version)))
    rows = read_selection(successor)
    assert rows["sample_id"].to_pylist() == ["t2i/emoji/cat"]
    notes = rows.schema.metadata
    assert notes[b"seedbed.predecessor"].decode() == _selection(premises, "hit-1")
    assert notes[b"seedbed.removed"].decode().split("\n") == ["t2i/emoji/apple", "edit/composed/2"]
    assert read_selection(_selection(premises, "free-1")).num_rows == 2
    assert len(record.affected.selections) == 2


def test_runs_and_bundles_that_saw_the_rows_are_named_and_stay(premises: Premises, settings: Settings):
    command(["--id", "emoji/apple", "--yes"], settings)
    affected = _record(premises).affected
    assert affected.fits == ("hit-hit",)
    assert [Path(folder).name for folder in affected.bundles] == ["built-on-hit-b", "hit-b"]
    assert all(Path(folder).is_dir() for folder in affected.bundles)


def test_pages_and_sheets_that_were_written_elsewhere_are_named(
    premises: Premises, settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    exports.note(premises.workspace, tmp_path / "sheet.png", ["emoji/apple", "emoji/bear"])
    exports.note(premises.workspace, tmp_path / "labels.html", ["emoji/cat"])
    command(["--id", "emoji/apple", "--yes"], settings)
    sheet = f"{gethostname()}:{tmp_path / 'sheet.png'}"
    assert f"{sheet}  (stays; delete it by hand)" in capsys.readouterr().out
    text = premises.workspace.read_text("takedowns", f"{_record(premises).id}.certificate.json")
    named = [place for place in Certificate.model_validate_json(text).not_reached if "page or sheet" in place]
    assert named == [f"{sheet}, a page or sheet with pictures of the rows"]


def test_pictures_made_from_the_rows_go_and_others_stay(premises: Premises, settings: Settings):
    command(["--id", "emoji/apple", "--yes"], settings)
    assert _record(premises).affected.places == (
        "evaluations/e1", "visits/of-e1", "mlartifacts/run-e1", "report.html", "reports/curate-c1.html", "mlartifacts/run-c1"
    )  # fmt: skip
    assert premises.workspace.names("reports", "*") == ["curate-c2.html"]
    assert premises.workspace.names("evaluations", "*") == ["e2"]
    assert premises.workspace.names("visits", "*") == ["of-e2"]
    assert premises.workspace.names("mlartifacts", "*") == ["run-c2", "run-e2"]
    assert not premises.workspace.exists("report.html")
    assert not premises.workspace.exists("tables", "images.lance.staging")


def test_the_certificate_says_what_was_searched_and_that_it_had_been_found_before(premises: Premises, settings: Settings):
    command(["--id", "emoji/apple", "--yes"], settings)
    record = _record(premises)
    text = premises.workspace.read_text("takedowns", f"{record.id}.certificate.json")
    certificate = Certificate.model_validate_json(text)
    assert certificate.is_erased
    assert certificate.is_proven
    assert (certificate.num_pictures, certificate.num_found_before) == (3, 3)
    searched = certificate.searches[0]
    assert searched.place == premises.workspace.root
    assert searched.num_files > 10
    assert len(searched.files_sha256) == 64
    assert any("hit-b" in place for place in certificate.not_reached)


def test_bytes_left_anywhere_are_refused_a_certificate(premises: Premises, settings: Settings):
    copy = premises.workspace.local("notes", "copy.bin")
    copy.parent.mkdir()
    copy.write_bytes(os.urandom(501) + PICTURES["both"])
    with pytest.raises(UserError, match=r"picture composed/1 is still in .*notes/copy\.bin"):
        command(["--id", "emoji/apple", "--yes"], settings)
    assert _record(premises).finished is None
    copy.unlink()
    assert command(["--id", "emoji/apple", "--yes"], settings) == 0
    assert _record(premises).finished is not None


@pytest.mark.parametrize("arguments", [["--dry-run"], ["--dry-run", "--yes"], []])
def test_without_a_yes_or_in_a_dry_run_nothing_changes(
    premises: Premises, settings: Settings, arguments: list[str], capsys: pytest.CaptureFixture[str]
):
    before = _contents(premises)
    if arguments:
        assert command(["--id", "emoji/apple", *arguments], settings) == 0
    else:
        with pytest.raises(UserError, match="nothing was changed"):
            command(["--id", "emoji/apple"], settings)
    assert _contents(premises) == before
    printed = capsys.readouterr().out
    for expected in ("rows        4", "folder/apple-again  (equal)", "pairs       1", "selections  2", "hit-hit", "evaluations/e1"):  # noqa: E501
        assert expected in printed, expected


@pytest.mark.parametrize("num_steps", range(len(STEPS) + 1))
def test_a_takedown_killed_after_any_step_is_finished_by_the_same_command(
    premises: Premises, settings: Settings, num_steps: int
):
    affected = survey(APPLE, None, premises.workspace)
    record = prepared(APPLE, None, affected, reason="", premises=premises)
    for step in STEPS[:num_steps]:
        step(record, premises)
    assert command(["--id", "emoji/apple", "--yes"], settings) == 0
    assert all(_holding(premises, name) == [] for name in ("apple", "both", "mirrored"))
    finished = _record(premises)
    assert finished.finished is not None
    assert {row.id for row in finished.affected.rows} == {row.id for row in affected.rows}
    assert {one.old for one in finished.affected.selections} == {one.old for one in affected.selections}
    assert len(finished.found_before) == 3


def test_a_takedown_killed_between_deleting_and_compacting_is_finished(premises: Premises, settings: Settings):
    prepared(APPLE, None, survey(APPLE, None, premises.workspace), reason="", premises=premises)
    lance.dataset(premises.workspace.uri("tables", "images.lance")).delete("id IN ('emoji/apple', 'composed/1')")
    assert _holding(premises, "apple")
    assert command(["--id", "emoji/apple", "--yes"], settings) == 0
    assert all(_holding(premises, name) == [] for name in ("apple", "both", "mirrored"))


def test_a_finished_takedown_does_nothing_again(premises: Premises, settings: Settings, capsys: pytest.CaptureFixture[str]):
    command(["--id", "emoji/apple", "--yes"], settings)
    before = _contents(premises)
    assert command(["--id", "emoji/apple", "--yes"], settings) == 0
    assert _contents(premises) == before
    assert "done before" in capsys.readouterr().out


def test_rows_that_came_back_are_taken_down_by_the_same_command(premises: Premises, settings: Settings):
    command(["--id", "emoji/apple", "--yes"], settings)
    again = _measured([_picture("emoji/apple", "apple"), _picture("composed/9", "mirrored", "composed/1")])
    lance.write_dataset(again, premises.workspace.uri("tables", "images.lance"), mode="append")
    command(["--id", "emoji/apple", "--yes"], settings)
    assert _ids(premises) == ["emoji/bear", "emoji/cat", "folder/dog"]
    assert _holding(premises, "apple") == _holding(premises, "mirrored") == []


@pytest.mark.parametrize(
    ("arguments", "gone"),
    [
        (["--hash", hashes.exact_hash(PICTURES["dog"])], {"folder/dog"}),
        (["--near", "0000000000000007", "--bits", "0"], {"emoji/cat"}),
        (["--near", "0x0000000000000007", "--bits", "1"],
         {"emoji/cat", "emoji/apple", "folder/apple-again", "composed/1", "composed/2"}),
        (["--source", "folder"], {"folder/dog", "folder/apple-again"}),
        (["--id", "composed/1"], {"composed/1", "composed/2"}),
    ],
)  # fmt: skip
def test_rows_are_named_by_hash_by_nearness_or_by_source(
    premises: Premises, settings: Settings, arguments: list[str], gone: set[str]
):
    before = set(_ids(premises))
    assert command([*arguments, "--yes"], settings) == 0
    assert before - set(_ids(premises)) == gone


def test_a_picture_that_another_source_gives_too_survives_the_withdrawal_of_a_source(premises: Premises, settings: Settings):
    command(["--source", "folder", "--yes"], settings)
    assert "emoji/apple" in _ids(premises)
    blocked = read_blocked(premises.workspace)
    assert blocked.exact_hashes == frozenset()
    assert blocked.sources == {"folder"}


def test_hashes_of_an_older_version_are_not_relied_on(premises: Premises, settings: Settings, capsys: pytest.CaptureFixture[str]):
    images = premises.workspace.uri("tables", "images.lance")
    lance.dataset(images).update({"hashes_version": "'old'", "exact_hash": "concat('old ', id)"})
    assert command(["--hash", hashes.exact_hash(PICTURES["apple"]), "--yes"], settings) == 0
    assert "searched for 3 pictures: each was found before and none is left" in capsys.readouterr().out
    assert _ids(premises) == ["emoji/bear", "emoji/cat", "folder/dog"]
    assert hashes.exact_hash(PICTURES["both"]) in read_blocked(premises.workspace).exact_hashes


def test_rows_that_were_never_measured_are_found_by_their_bytes(workspace: Workspace, settings: Settings):
    workspace.local("tables").mkdir(parents=True)
    rows = [_picture("emoji/apple", "apple"), _picture("folder/again", "apple"), _picture("emoji/cat", "cat")]
    rows.append(_picture("emoji/empty", "cat") | {"image": None})
    lance.write_dataset(pa.Table.from_pylist(rows, schema=stamped(IMAGES_SCHEMA)), workspace.uri("tables", "images.lance"))
    assert command(["--hash", hashes.exact_hash(PICTURES["apple"]), "--yes"], settings) == 0
    assert commit.ids_in(workspace.uri("tables", "images.lance")) == {"emoji/cat", "emoji/empty"}
    with pytest.raises(UserError, match="run `seedbed curate` first"):
        command(["--near", "0" * 16, "--bits", "3", "--yes"], settings)


def test_hashes_within_the_radius_are_set_aside_when_they_come_back(premises: Premises, settings: Settings):
    command(["--near", "0000000000000007", "--bits", "1", "--yes"], settings)
    images = premises.workspace.uri("tables", "images.lance")
    again = [_picture("folder/new-name", "apple"), _picture("folder/other", "dog")]
    lance.write_dataset(_measured(again), images, mode="append")
    set_aside(images, read_blocked(premises.workspace), error_columns=("hashes_error",))
    errors = {row["id"]: row["hashes_error"] for row in lance.dataset(images).to_table().to_pylist()}
    assert errors["folder/new-name"].startswith("taken_down: ")
    assert [row_id for row_id, error in errors.items() if error] == ["folder/new-name"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give one of"),
        (["--id", "a", "--source", "b"], "give one of"),
        (["--near", "00"], "--near needs --bits"),
        (["--near", "00", "--bits", "2"], "expected 16 hexadecimal digits"),
        (["--hash", "xyz"], "expected 64 hexadecimal digits"),
    ],
)
def test_a_request_that_says_too_little_is_refused(settings: Settings, arguments: list[str], message: str):
    with pytest.raises(UserError, match=message):
        command(arguments, settings)
