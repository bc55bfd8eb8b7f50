"""What the jobs that fill columns have in common: find what is to do, start Ray only then, show progress, commit as it comes.

Signals that read the columns of others wait for these: each wave is read from the table that the wave before has written.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

from curation.backfill import Backfilled, Rows, backfill, num_todo
from curation.costs import BILLION, Cost, Costs, rates
from curation.signals.contract import Signal, in_waves
from curation.tables import TableRef, pin
from curation.workers import Workers
from infra.session import Session

_CPU_S, _ROWS, _BYTES = "_cpu_s", "_rows", "read_bytes"


def fill(
    name: str, session: Session, images: TableRef, signals: Sequence[Signal], *, workers: Workers, rows: Rows | None = None
) -> Backfilled:
    """Compute what is to do of the signals for the rows that the version of `images` names; `name` is what the bar says."""
    limits = rows or Rows()
    waves = in_waves(signals)
    num_rows = num_todo(images, [one for wave in waves for one in wave], limits)
    done = [_fill_wave(name, session, images, wave, workers=workers, limits=limits) for wave in waves] if num_rows else []
    cpu_s: Counter[str] = Counter()
    num_computed: Counter[str] = Counter()
    for each in done:
        cpu_s.update(each.cpu_s)
        num_computed |= Counter(each.num_computed)       # rows that two waves read are the same rows
    return Backfilled(
        pin(TableRef(uri=images.uri)), num_rows=num_rows, num_failed=sum(each.num_failed for each in done),
        num_reused=sum(each.num_reused for each in done), cpu_s=cpu_s, num_computed=num_computed,
        num_bytes=sum(each.num_bytes for each in done),
    )  # fmt: skip


def _fill_wave(
    name: str, session: Session, images: TableRef, signals: Sequence[Signal], *, workers: Workers, limits: Rows
) -> Backfilled:
    todo = num_todo(images, signals, limits)
    if not todo:
        return Backfilled(images, num_rows=0, num_failed=0, num_reused=0, cpu_s={}, num_computed={}, num_bytes=0)
    session.start_ray()
    with session.progress.stage(name, total=todo) as bar:
        done = backfill(images, signals, rows=limits, workers=workers, on_commit=bar.advance)
        bar.set(bar.done, note=rates(costs_in(costs(done, name), name)))
    return done


def costs(done: Backfilled, stage: str) -> dict[str, float]:
    """What was spent as metrics, for example ``curate/decode_cpu_s`` and ``curate/decode_rows``; none when nothing was."""
    if not done.num_rows:
        return {}
    lines = tuple(Cost(name, seconds, done.num_computed[name]) for name, seconds in done.cpu_s.items())
    spent = Costs(lines, done.num_bytes)
    in_short = {"decode_share": spent.decode_share, "cpu_ms_row": spent.ms_a_row, "cpu_hours_billion": spent.cpu_hours(BILLION)}
    by_name = {line.name + _CPU_S: line.cpu_s for line in lines} | {line.name + _ROWS: float(line.num_rows) for line in lines}
    return {f"{stage}/{name}": value for name, value in {**by_name, _BYTES: float(spent.num_bytes), **in_short}.items()}


def costs_in(metrics: Mapping[str, float], stage: str) -> Costs | None:
    """What `costs` wrote into these metrics; None when nothing was measured."""
    if f"{stage}/{_BYTES}" not in metrics:
        return None
    own = {key.removeprefix(f"{stage}/"): value for key, value in metrics.items() if key.startswith(f"{stage}/")}
    names = [key.removesuffix(_CPU_S) for key in own if key.endswith(_CPU_S)]
    lines = tuple(Cost(name, own[name + _CPU_S], int(own[name + _ROWS])) for name in names if name + _ROWS in own)
    return Costs(lines, num_bytes=int(own[_BYTES]))
