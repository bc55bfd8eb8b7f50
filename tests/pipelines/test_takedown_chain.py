"""Taken-down pictures do not come back: ingest and curate on a real folder with a real local Ray."""

import io
import json
from pathlib import Path

import lance
import numpy as np
import pytest
from PIL import Image

from curation.blocked import Blocked, Permitted, set_aside
from curation.sources import FolderConfig, build
from curation.sources.protocol import listed
from curation.tables import TableRef
from curation.takedown import read_blocked
from infra.errors import UserError
from infra.session import Session
from infra.settings import Settings
from pipelines import curate, ingest
from pipelines.job import Outcome
from pipelines.recipes.curate import DRAWINGS
from pipelines.takedown import command
from pipelines.why import explain, lines_of


def _png(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (40, 40, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for seed, name in enumerate("abc"):
        (folder / f"{name}.png").write_bytes(_png(seed))
    lines = [json.dumps({"file": f"{name}.png", "text_en": f"picture {name}"}) for name in "abc"]
    (folder / "captions.jsonl").write_text("\n".join(lines))
    return folder


def _ingest(folder: Path, session: Session) -> Outcome:
    images = session.workspace.uri("tables", "images.lance")
    source = FolderConfig(path=str(folder), heldout_share=0.0)
    return ingest.run(ingest.IngestConfig(source=source, images=images, rows_per_fragment=2, workers=1), session)


def _curate(session: Session) -> Outcome:
    images = TableRef(uri=session.workspace.uri("tables", "images.lance"))
    return curate.run(curate.CurateConfig(images=images, rules=DRAWINGS, workers=1), session)


def _rows(session: Session) -> dict[str, dict]:
    return {row["locator"]: row for row in lance.dataset(session.workspace.uri("tables", "images.lance")).to_table().to_pylist()}


def _blocked(*, ids: tuple[str, ...] = (), sources: tuple[str, ...] = ()) -> Blocked:
    return Blocked(frozenset(ids), frozenset(sources), frozenset(), ())


def test_a_source_lists_all_but_what_was_taken_down(folder: Path, tmp_path: Path):
    source = build(FolderConfig(path=str(folder), heldout_share=0.0), cache_dir=tmp_path)
    ids = listed(source)["id"].to_pylist()
    permitted = Permitted(source, _blocked(ids=(ids[1], "emoji/other")))
    assert listed(permitted)["id"].to_pylist() == [ids[0], ids[2]]
    assert permitted.num_omitted == 1
    listed(permitted)
    assert permitted.num_omitted == 1                   # listing again does not count again


def test_a_source_that_was_taken_down_is_not_even_listed(folder: Path, tmp_path: Path):
    source = build(FolderConfig(path=str(folder), heldout_share=0.0), cache_dir=tmp_path)
    with pytest.raises(UserError, match="source 'folder' was taken down"):
        listed(Permitted(source, _blocked(sources=("folder",))))


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.usefixtures("local_ray")
def test_what_was_taken_down_does_not_come_back(folder: Path, session: Session, settings: Settings):
    _ingest(folder, session)
    assert _curate(session).rows_out == 3
    row = _rows(session)[next(name for name in _rows(session) if name.endswith("a.png"))]
    text = "\n".join(lines_of(explain(row["id"], session.workspace)))
    for expected in ("kept", row["exact_hash"], f"{row['perceptual_hash']:016x}", "hashes  version", "1280 numbers"):
        assert expected in text, expected
    assert command(["--id", row["id"], "--reason", "asked", "--yes"], settings) == 0

    (folder / "under-another-name.png").write_bytes((folder / "a.png").read_bytes())
    again = _ingest(folder, session)
    assert again.metrics["ingest/taken_down_images"] == 1
    assert row["id"] not in {one["id"] for one in _rows(session).values()}
    judged = _curate(session)
    assert (judged.rows_out, judged.quarantined) == (2, 1)
    verdicts = {Path(name).name: one["verdict_reasons"] for name, one in _rows(session).items()}
    assert verdicts == {"b.png": [], "c.png": [], "under-another-name.png": ["taken_down"]}
    with pytest.raises(UserError, match=r"was taken down on .*: asked"):
        explain(row["id"], session.workspace)
    with pytest.raises(UserError, match="do not look at 'hashes_error'"):
        set_aside(session.workspace.uri("tables", "images.lance"), read_blocked(session.workspace), error_columns=())
