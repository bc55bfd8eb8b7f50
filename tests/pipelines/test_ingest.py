"""The job on real Ray: tars with good and bad members, run again, and run again after more came."""

import io
import tarfile
from pathlib import Path

import lance
import numpy as np
import pytest
from PIL import Image

from curation.sources import UrlListConfig, WebDatasetConfig
from infra.session import Session
from pipelines import ingest
from pipelines.job import Outcome


def picture(seed: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def write_tar(path: Path, keys: range) -> None:
    with tarfile.open(path, "w") as tar:
        for key in keys:
            for ending, content in ((".png", picture(key)), (".txt", f"noise {key}".encode())):
                info = tarfile.TarInfo(f"{key:04}{ending}")
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))


def ingested(session: Session, source: WebDatasetConfig | UrlListConfig) -> Outcome:
    uri = session.workspace.uri("tables", "images.lance")
    return ingest.run(ingest.IngestConfig(source=source, images=uri, rows_per_fragment=8, workers=2), session)


@pytest.mark.ray
@pytest.mark.usefixtures("local_ray")
def test_tars_are_ingested_once_however_often_they_are_asked_for(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest, "FRAGMENTS_AT_ONCE", 2)  # several rounds in a small test
    folder = tmp_path / "tars"
    folder.mkdir()
    write_tar(folder / "0.tar", range(20))
    write_tar(folder / "1.tar", range(20, 40))
    (folder / "1.tar").write_bytes((folder / "1.tar").read_bytes()[:-11_000])
    source = WebDatasetConfig(path=str(folder))
    first = ingested(session, source)
    table = lance.dataset(first.outputs["images"])
    assert first.rows_in == first.rows_out == table.count_rows() == first.metrics["ingest/appended_images"]
    assert first.metrics["ingest/damaged_shards"] == 1
    assert "1 damaged shards, among them 1.tar" in first.note
    assert first.rows_out == 39  # the last sample of the cut tar lost its caption, so it is not taken
    rows = table.to_table(columns=["id", "image", "text_en"]).to_pylist()
    assert rows[3]["image"] == picture(3)
    assert rows[3]["text_en"] == "noise 3"
    assert ingested(session, source) == first
    write_tar(folder / "1.tar", range(20, 40))
    second = ingested(session, source)
    assert (second.rows_in, second.rows_out) == (40, 40 - first.rows_out)
    found = lance.dataset(first.outputs["images"]).to_table(columns=["id"])["id"].to_pylist()
    assert len(found) == len(set(found)) == 40


@pytest.mark.ray
@pytest.mark.usefixtures("local_ray")
def test_what_could_not_be_read_is_counted_by_its_reason(session: Session, tmp_path: Path) -> None:
    urls = ["http://127.0.0.1/a.png", "http://10.0.0.1/b.png", "ftp://example.org/c.png", "http://example.org:22/d.png"]
    (tmp_path / "list.txt").write_text("\n".join(urls))
    outcome = ingested(session, UrlListConfig(path=str(tmp_path / "list.txt"), parts=2))
    assert outcome.quarantined == outcome.rows_out == 4
    assert "4 unreadable (2 forbidden_address, 1 forbidden_" in outcome.note
    errors = lance.dataset(outcome.outputs["images"]).to_table(columns=["ingest_error"])["ingest_error"].to_pylist()
    assert {error.partition(":")[0] for error in errors} == {"forbidden_address", "forbidden_scheme", "forbidden_port"}
