"""Program of `test_train_health`: four nodes, one of which is slow and one broken; prints as JSON who is left out and where Ray
then places workers. A process of its own, because a process has one Ray.
"""

import json
import os
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
os.environ.update(RAY_AUTH_MODE="disabled", RAY_ENABLE_UV_RUN_RUNTIME_ENV="0")
os.environ.update(RAY_raylet_start_wait_time_s="600")       # a busy machine takes longer than Ray's half minute

import ray
import torch
from ray.cluster_utils import Cluster
from ray.util.placement_group import placement_group, placement_group_table

from infra.session import start_ray
from infra.settings import Settings
from train.health import HealthConfig, RateLimit, check_nodes
from train.machine import Machine, measure_machine

NODES, CPUS_OF_A_NODE = 4, 2
ANY = RateLimit(share_of_median=0.0, floor=0.0)
CONFIG = HealthConfig(memory=ANY, disk_write=ANY, disk_read=ANY, all_reduce=ANY)    # four nodes share one machine's


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="sb-", dir="/tmp") as folder:
        cluster = _cluster(Path(folder))
        ids = [raw["NodeID"] for raw in ray.nodes()]
        health = check_nodes(Path(folder), CONFIG, dtype=torch.float32, measure=_measure_with(slow=ids[1], broken=ids[2]))
        selector = health.label_selector()
        assert selector is not None
        found = {
            "slow": ids[1], "broken": ids[2], "unfit": {each.node.id: each.reason for each in health.unfit},
            "fit": [each.node.id for each in health.fit], "placed": _placed(selector),
            "sums": [each.exchange.is_right for each in health.fit if each.exchange is not None],
            "offsets_s": [each.clock_offset_s for each in health.fit],
        }  # fmt: skip
        ray.shutdown()
        cluster.shutdown()
    sys.stdout.write(f"{json.dumps(found)}\n")


def _measure_with(*, slow: str, broken: str):
    def measure(folder: Path, dtype: torch.dtype) -> Machine:
        here = ray.get_runtime_context().get_node_id()
        if here == broken:
            return measure_machine(folder / "not-there", dtype)
        machine = measure_machine(folder, dtype)._replace(matmul_flops_per_s=100e9)    # four nodes share one machine's
        return machine._replace(matmul_flops_per_s=50e9) if here == slow else machine

    return measure


def _placed(selector: dict[str, str]) -> list[str]:
    """Nodes of bundles that ask as Ray Train's do."""
    size = 2 * CPUS_OF_A_NODE
    group = placement_group([{"CPU": 1}] * size, bundle_label_selector=[selector] * size)
    ray.get(group.ready(), timeout=120)
    return list(placement_group_table(group)["bundles_to_node_id"].values())


def _cluster(folder: Path) -> Cluster:
    node = {"object_store_memory": 100 << 20, "num_cpus": CPUS_OF_A_NODE}
    head = {**node, "include_dashboard": False, "temp_dir": str(folder / "ray")}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    for _ in range(NODES - 1):
        cluster.add_node(wait=True, **node)
    start_ray(Settings(root=str(folder), cache_dir=folder, address=cluster.address, logical_cpus=CPUS_OF_A_NODE, ship_code=True))
    cluster.wait_for_nodes()
    return cluster


if __name__ == "__main__":
    main()
