"""A local Ray with as many workers as our legs of the curation benchmark have, and nothing to do: what of their memory is Ray's.

A program of its own, so that it is measured like the legs: ``python -m pipelines.bench.ray_alone FOLDER RESULT``.
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa

from curation.workers import Actors, stream
from infra.session import Session
from infra.settings import settings_from_environment
from infra.untracked import NullTracker
from pipelines.bench.curate_ours import NUM_WORKERS


class _Idle:
    """Gives its block back."""

    def __call__(self, block: pa.Table) -> pa.Table:
        return block


def idle(result: Path) -> None:
    """Start Ray, hand every worker a block, stop; writes that nothing was found."""
    with TemporaryDirectory(dir=result.parent) as scratch:
        settings = settings_from_environment().model_copy(update={"root": scratch, "logical_cpus": NUM_WORKERS})
        session = Session(settings, tracker=NullTracker())
        try:
            session.start_ray()
            blocks = [pa.table({"number": [number]}) for number in range(NUM_WORKERS)]
            assert len(list(stream(blocks, _Idle, {}, Actors(NUM_WORKERS)))) == NUM_WORKERS
        finally:
            session.close()
    result.write_text("{}")


if __name__ == "__main__":
    idle(Path(sys.argv[2]))
