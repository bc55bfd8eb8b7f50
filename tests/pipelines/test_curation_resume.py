"""Kill -9 in the middle of a job, then run it again."""

import io
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import lance
import numpy as np
import psutil
import pytest
from PIL import Image

from curation.sources import FolderConfig
from curation.tables import TableRef
from infra.session import Session
from infra.settings import CODE_ROOT
from pipelines import curate, ingest
from pipelines.recipes.curate import DRAWINGS

NUM_PICTURES = 40
PATIENCE_S = 240


def _folder(folder: Path) -> Path:
    folder.mkdir()
    lines = []
    for index in range(NUM_PICTURES):
        pixels = np.random.default_rng(index).integers(0, 256, (48, 48, 3), dtype=np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG")
        (folder / f"{index:03}.png").write_bytes(buffer.getvalue())
        lines.append(json.dumps({"file": f"{index:03}.png", "text_en": f"noise {index}", "concept": str(index)}))
    (folder / "captions.jsonl").write_text("\n".join(lines))
    return folder


def _num_measured(uri: str) -> int:
    dataset = lance.dataset(uri)
    return dataset.count_rows("features_version IS NOT NULL") if "features_version" in dataset.schema.names else 0


def _files_by_fragment(uri: str) -> dict[int, list[str]]:
    """Column files of the fragments that are measured; a fragment computed again would have another."""
    dataset = lance.dataset(uri)
    measured = dataset.scanner(columns=["id"], filter="features_version IS NOT NULL", with_row_address=True).to_table()
    fragments = {address >> 32 for address in measured["_rowaddr"].to_pylist()}
    found = (fragment for fragment in dataset.get_fragments() if fragment.fragment_id in fragments)
    return {fragment.fragment_id: [file.path for file in fragment.metadata.files] for fragment in found}


def _start(root: str, log: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "pipelines", "curate", "--root", root, "--set", "workers=1"]
    with log.open("wb") as file:
        return subprocess.Popen(command, cwd=CODE_ROOT, stdout=file, stderr=file)


def _kill_once(process: subprocess.Popen[bytes], uri: str, log: Path) -> None:
    """SIGKILL as soon as something is committed. Workers end in seconds; Ray's agents, which do no work, would stay a minute."""
    deadline = time.monotonic() + PATIENCE_S
    while _num_measured(uri) == 0:
        assert process.poll() is None, f"curate ended before it measured anything: {log.read_text()}"
        assert time.monotonic() < deadline, "nothing was measured in time"
        time.sleep(0.02)
    children = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGKILL)
    process.wait()
    _, alive = psutil.wait_procs(children, timeout=10)
    for child in alive:
        child.kill()


@pytest.mark.ray
@pytest.mark.usefixtures("local_ray")
def test_curate_killed_in_the_middle_goes_on_where_it_was(tmp_path: Path, session: Session) -> None:
    uri = session.workspace.uri("tables", "images.lance")
    source = FolderConfig(path=str(_folder(tmp_path / "pictures")), heldout_share=0.0)
    ingest.run(ingest.IngestConfig(source=source, images=uri, rows_per_fragment=2, workers=2), session)
    log = tmp_path / "curate.log"
    _kill_once(_start(session.workspace.root, log), uri, log)
    done = _num_measured(uri)
    assert 0 < done < NUM_PICTURES
    before = _files_by_fragment(uri)
    outcome = curate.run(curate.CurateConfig(images=TableRef(uri=uri), rules=DRAWINGS, workers=1), session)
    assert outcome.metrics["curate/measured_images"] == NUM_PICTURES - done
    assert outcome.rows_out == outcome.rows_in == _num_measured(uri) == lance.dataset(uri).count_rows() == NUM_PICTURES
    after = _files_by_fragment(uri)
    assert all(set(before[key]) <= set(after[key]) for key in before)
