"""What the jobs that fill columns have in common: find what is to do, start Ray only then, show progress, commit as it comes."""

from collections.abc import Sequence

from curation.backfill import Backfilled, Rows, backfill, num_todo
from curation.signals.contract import Signal
from curation.tables import TableRef, pin
from curation.workers import Workers
from infra.session import Session


def fill(
    name: str, session: Session, images: TableRef, signals: Sequence[Signal], *, workers: Workers, rows: Rows | None = None
) -> Backfilled:
    """Compute what is to do of the signals for the rows that the version of `images` names; `name` is what the bar says."""
    limits = rows or Rows()
    todo = num_todo(images, signals, limits)
    if not todo:
        return Backfilled(pin(TableRef(uri=images.uri)), num_rows=0, num_failed=0, num_reused=0, cpu_s={})
    session.start_ray()
    with session.progress.stage(name, total=todo) as bar:
        return backfill(images, signals, rows=limits, workers=workers, on_commit=bar.advance)


def costs(done: Backfilled, stage: str) -> dict[str, float]:
    """CPU seconds as metrics, for example ``curate/decode_cpu_s``."""
    return {f"{stage}/{name}_cpu_s": seconds for name, seconds in done.cpu_s.items()}
