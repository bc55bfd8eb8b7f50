"""Our side of the curation benchmark: from a folder to a table of measurements, then duplicates and filters.

A program of its own, so that it is measured like the peers: ``python -m pipelines.bench.curate_ours LEG FOLDER RESULT``. One run
does the work of Daft's, Data-Juicer's and cleanvision's legs together, on a local Ray of two workers.

* ``fused`` reads, decodes, measures and appends rows without pictures, as the peers do.
* ``stored`` is what users of the jobs have: `seedbed ingest` copies the pictures into the table, the engine measures them from
  there, every value with its version, so that none is measured twice. Only MLflow is left out.
"""

import json
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa

from curation import commit
from curation.dedup.rule import DedupConfig, NearConfig
from curation.evidence import Evidence
from curation.judging import FeatureColumn
from curation.predicates import AtLeast, AtMost
from curation.signals import appearance, hashes
from curation.sources.folder import FolderConfig
from curation.tables import TableRef, open_table
from curation.verdict import DecisionConfig, Failed, columns_of, decide
from curation.workers import Actors
from infra.session import Session
from infra.settings import settings_from_environment
from infra.untracked import NullTracker
from pipelines import ingest
from pipelines.bench.fused import measured
from pipelines.columns import fill
from pipelines.ingest import IngestConfig

NUM_WORKERS = 2
ROWS_PER_FRAGMENT = 100
SIGNALS = (hashes.SIGNAL, appearance.SIGNAL)

NEAR = NearConfig(hashes="perceptual_hash", bits=8, cosine=0.985, same=(), parents=None, cells=None)
DEDUP = DedupConfig(exact="exact_hash", prefer=("width_px", "height_px"), near=NEAR, memory_bytes=1 << 28)
RULES = DecisionConfig(
    leaf="category",
    quarantine=Failed(columns=tuple(one.error_column for one in SIGNALS), reasons=("unreadable",), otherwise="failed"),
    drop=(
        AtLeast(reason="too_small", columns=("width_px", "height_px"), limit=256),
        AtMost(reason="too_long", columns=("aspect",), limit=4.0),
        AtLeast(reason="too_few_bytes", columns=("num_bytes",), limit=5_000),
    ),
    dedup=DEDUP, features="thumbnail", balance=None, quotas=None, seed=0,
)  # fmt: skip
"""The filters of the leg. Thumbnails that correlate confirm what hashes propose."""


def measure(leg: str, folder: Path, result: Path) -> None:
    """Measure and decide; writes which files are good, refused, duplicates, and kept."""
    with TemporaryDirectory(dir=result.parent) as scratch:
        settings = settings_from_environment().model_copy(update={"root": scratch, "logical_cpus": NUM_WORKERS})
        session = Session(settings, tracker=NullTracker())
        try:
            table = LEGS[leg](FolderConfig(path=str(folder)), session)
            rows, evidence = _rows(table)
        finally:
            session.close()
    names = [locator.rpartition("/")[2] for locator in rows["locator"].to_pylist()]
    decision = decide(evidence, RULES)
    errors = dict(zip(names, rows[hashes.SIGNAL.error_column].to_pylist(), strict=True))
    found = {
        "good": [name for name, error in errors.items() if error is None],
        "refused": {name: error for name, error in errors.items() if error is not None},
        "groups": _groups(names, evidence.clusters(DEDUP).names.tolist()),
        "kept": [name for name, is_kept in zip(names, decision.is_kept.tolist(), strict=True) if is_kept],
    }
    result.write_text(json.dumps(found))


def _fused(source: FolderConfig, session: Session) -> TableRef:
    session.start_ray()
    uri = session.workspace.uri("measured.lance")
    return measured(source, SIGNALS, uri, rows_per_fragment=ROWS_PER_FRAGMENT, num_workers=NUM_WORKERS)


def _stored(source: FolderConfig, session: Session) -> TableRef:
    uri = session.workspace.uri("tables", "images.lance")
    config = IngestConfig(source=source, images=uri, rows_per_fragment=ROWS_PER_FRAGMENT, workers=NUM_WORKERS)
    outputs = ingest.run(config, session).outputs
    table = TableRef(uri=uri, version=int(outputs["version"]))
    return fill("measure", session, table, SIGNALS, workers=Actors(NUM_WORKERS)).table


LEGS: dict[str, Callable[[FolderConfig, Session], TableRef]] = {"fused": _fused, "stored": _stored}


def _rows(table: TableRef) -> tuple[pa.Table, Evidence]:
    """All rows, and what is known of them."""
    rows = commit.rows_of(table, [*dict.fromkeys((*columns_of(RULES), "locator"))])
    vectors = FeatureColumn(open_table(table), RULES.features, rows["_rowid"])(np.arange(rows.num_rows))
    return rows, Evidence(rows, features=vectors.__getitem__)


def _groups(names: Sequence[str], clusters: Sequence[int]) -> list[list[str]]:
    """Files that count as one, where there are several."""
    found: defaultdict[int, list[str]] = defaultdict(list)
    for name, cluster in zip(names, clusters, strict=True):
        found[cluster].append(name)
    return [group for group in found.values() if len(group) > 1]


if __name__ == "__main__":
    measure(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
