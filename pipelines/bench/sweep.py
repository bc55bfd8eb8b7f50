"""Sweep: a hundred recipes for deciding over a million rows of columns, duplicates, balance and quotas included.

The rows are synthetic (`pipelines.bench.synthetic`). Beside it stands the same decision with nothing shared between recipes.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from curation import decode, verdict
from curation.comparison import overlaps
from curation.evidence import Evidence
from curation.verdict import decide
from pipelines.bench import synthetic
from pipelines.bench.result import Measured
from pipelines.sweep import GridAxis, swept, variants_of

GRID = (
    GridAxis(path="dedup.near.bits", values=("0", "1", "2", "3")),
    GridAxis(path="drop.blurred.limit", values=("5", "10", "20", "40", "80")),
    GridAxis(path="balance.words.threshold", values=("500", "1000", "2000", "4000", "8000")),
)
_NUM_ALONE = 2
"""Recipes that are decided alone, for comparison."""


def run(*, is_quick: bool) -> Measured:
    """Seconds a recipe, reading the columns and finding what recipes share included."""
    num_rows = 100_000 if is_quick else 1_000_000
    variants = variants_of(synthetic.RULES, GRID)
    rows, vectors = synthetic.columns(0, num_rows), synthetic.features(0, num_rows)
    began, began_cpu = time.perf_counter(), time.process_time()
    with _counted_decodes() as count:
        done = list(swept(Evidence(rows, features=vectors.__getitem__), variants, on_done=lambda: None))
        shared = overlaps([one.summary for one in done])
    seconds, cpu_s = time.perf_counter() - began, time.process_time() - began_cpu
    began, began_cpu = time.perf_counter(), time.process_time()
    alone = [decide(Evidence(rows, features=vectors.__getitem__), one.rules) for one in variants[:_NUM_ALONE]]
    alone_s, alone_cpu_s = time.perf_counter() - began, time.process_time() - began_cpu
    kept = [one.summary.counts["kept"] for one in done]
    per_recipe, alone_per_recipe = seconds / len(done), alone_s / _NUM_ALONE
    common = {"decodes": float(len(count)), "rows": float(num_rows)}
    ours = {"seconds_per_recipe": per_recipe, "cpu_s_per_recipe": cpu_s / len(done), "recipes": float(len(done)), **common}
    alone_cpu_s /= _NUM_ALONE
    peer = {"seconds_per_recipe": alone_per_recipe, "cpu_s_per_recipe": alone_cpu_s, "recipes": float(_NUM_ALONE), **common}
    return Measured(
        ours=ours,
        peers={"nothing shared": peer},
        ratios={"cpu_s_per_recipe": peer["cpu_s_per_recipe"] / ours["cpu_s_per_recipe"]},
        checks={
            "sharing changes no decision": [verdict.digest(Evidence(rows).ids, one) for one in alone]
            == [one.summary.digest for one in done[:_NUM_ALONE]],
            "no picture is decoded": not count,
            "under a second a recipe": per_recipe < 1,
            "every recipe keeps some rows and drops some": 0 < min(kept) <= max(kept) < num_rows,
            "each recipe's selection is another": len({one.summary.digest for one in done}) == len(done),
            "overlaps are those of a similarity": bool((shared.diagonal() == 1).all() and (shared <= 1).all()),
        },
    )  # fmt: skip


@contextmanager
def _counted_decodes() -> Iterator[list[str]]:
    """Names of the decoders that were called meanwhile, a name a call."""
    names, calls = ("decode", "decode_scaled", "probe"), []
    originals = {name: getattr(decode, name) for name in names}

    def counting(name: str) -> Callable[..., object]:
        def call(*arguments: object, **settings: object) -> object:
            calls.append(name)
            return originals[name](*arguments, **settings)

        return call

    for name in names:
        setattr(decode, name, counting(name))
    try:
        yield calls
    finally:
        for name, original in originals.items():
            setattr(decode, name, original)
