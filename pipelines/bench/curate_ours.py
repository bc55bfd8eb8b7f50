"""Our side of the curation benchmark: a folder into a table, measured by the engine, then duplicates and filters.

A program of its own, so that it is measured like the peers: ``python -m pipelines.bench.curate_ours FOLDER RESULT``. One run
does the work of Daft's, Data-Juicer's and cleanvision's legs together, and is what a user has: the jobs' own code on a local
Ray, pictures stored in a Lance table, every value with its version. Only MLflow is left out.
"""

import json
import sys
from collections import defaultdict
from collections.abc import Sequence
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
from infra.tracking import NullTracker
from pipelines import ingest
from pipelines.columns import fill
from pipelines.ingest import IngestConfig

NUM_WORKERS = 2
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


def measure(folder: Path, result: Path) -> None:
    """Store, measure and decide; writes which files are good, refused, duplicates, and kept."""
    with TemporaryDirectory(dir=result.parent) as scratch:
        settings = settings_from_environment().model_copy(update={"root": scratch})
        session = Session(settings, tracker=NullTracker())
        try:
            rows, evidence = _measured(folder, session)
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


def _measured(folder: Path, session: Session) -> tuple[pa.Table, Evidence]:
    """The rows of a table of all files, measured, and what decisions are made on."""
    source = FolderConfig(path=str(folder))
    images = IngestConfig(
        source=source, images=session.workspace.uri("tables", "images.lance"), rows_per_fragment=128, workers=NUM_WORKERS
    )
    outputs = ingest.run(images, session).outputs
    table = TableRef(uri=outputs["images"], version=int(outputs["version"]))
    done = fill("measure", session, table, SIGNALS, workers=Actors(NUM_WORKERS))
    rows = commit.rows_of(done.table, [*dict.fromkeys((*columns_of(RULES), "locator"))])
    features = FeatureColumn(open_table(done.table), RULES.features, rows["_rowid"])
    vectors = features(np.arange(rows.num_rows))
    return rows, Evidence(rows, features=vectors.__getitem__)


def _groups(names: Sequence[str], clusters: Sequence[int]) -> list[list[str]]:
    """Files that count as one, where there are several."""
    found: defaultdict[int, list[str]] = defaultdict(list)
    for name, cluster in zip(names, clusters, strict=True):
        found[cluster].append(name)
    return [group for group in found.values() if len(group) > 1]


if __name__ == "__main__":
    measure(Path(sys.argv[1]), Path(sys.argv[2]))
