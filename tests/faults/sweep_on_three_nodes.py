"""Program of `test_curation_sweep`: decide on three nodes of which one is killed, and in this process; prints both as JSON.

A process of its own, because a process has one Ray. Run by hand, with rows and shards:
``python tests/faults/sweep_on_three_nodes.py 10000000 100``.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
os.environ.update(RAY_AUTH_MODE="disabled", RAY_ENABLE_UV_RUN_RUNTIME_ENV="0")
os.environ.update(RAY_raylet_start_wait_time_s="600")       # a busy machine takes longer than Ray's half minute

import ray
from ray.cluster_utils import Cluster

from curation.balance import BalanceConfig, LeafAxis
from curation.sharded import Total, decide_shards
from curation.shards import Each, Found, Shard, in_turn, on_ray
from infra.session import start_ray
from infra.settings import Settings
from pipelines.bench.synthetic import RULES, SyntheticShard
from pipelines.overrides import apply

BY_LEAF = BalanceConfig(leaves=LeafAxis(column="category", threshold=5000), words=None, cells=None, gives="draws")
LEAN = RULES.model_copy(update={"balance": BY_LEAF, "drop": RULES.drop[:3]})
CONFIGS = [LEAN, apply(LEAN, ["drop.blurred.limit=80", "dedup.near.bits=2"]), apply(LEAN, ["seed=7"])]
NODES, CPUS_OF_A_NODE = 3, 2


def main(num_rows: int, num_shards: int) -> None:
    edges = [num_rows * place // num_shards for place in range(num_shards + 1)]
    shards = [SyntheticShard(first, last) for first, last in pairwise(edges)]
    with tempfile.TemporaryDirectory(prefix="sb-", dir="/tmp") as folder:
        cluster, victim = _cluster(Path(folder))
        killing = _Killing(lambda: cluster.remove_node(victim, allow_graceful=False), after=num_shards + num_shards // 3)
        disturbed, disturbed_s = _timed(shards, killing, Path(folder))
        ray.shutdown()
        cluster.shutdown()
        alone, alone_s = _timed(shards, in_turn, Path(folder))
    totals = {name: [total._asdict() for total in one] for name, one in (("disturbed", disturbed), ("alone", alone))}
    found = {"rows": num_rows, "killed": killing.killed, "seconds": disturbed_s, "alone_seconds": alone_s, **totals}
    sys.stdout.write(f"{json.dumps(found)}\n")


class _Killing:
    """`on_ray`, with a blow when so many shards are done in all passes together."""

    def __init__(self, kill: Callable[[], None], *, after: int) -> None:
        self._kill, self._left, self.killed = kill, after, 0

    def __call__(self, call: Callable[[Shard, int], Found], shards: Sequence[Shard], /) -> Iterator[Found]:
        for found in on_ray(call, shards):
            self._left -= 1
            if self._left == 0:
                self._kill()
                self.killed += 1
            yield found


def _cluster(folder: Path) -> tuple[Cluster, object]:
    """Three nodes, and one of those that are not the head."""
    node = {"object_store_memory": 200 << 20, "num_cpus": CPUS_OF_A_NODE}
    head = {**node, "include_dashboard": False, "temp_dir": str(folder / "ray")}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    others = [cluster.add_node(wait=True, **node) for _ in range(NODES - 1)]
    start_ray(Settings(root=str(folder), cache_dir=folder, address=cluster.address, logical_cpus=CPUS_OF_A_NODE, ship_code=True))
    cluster.wait_for_nodes()
    return cluster, others[-1]


def _timed(shards: Sequence[Shard], each: Each, scratch: Path) -> tuple[list[Total], float]:
    began = time.perf_counter()
    totals = decide_shards(shards, CONFIGS, each=each, scratch=scratch)
    return totals, time.perf_counter() - began


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
