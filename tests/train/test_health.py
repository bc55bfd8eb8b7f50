"""Who is left out before a run, and why; a cluster with a slow node is in tests/faults."""

from pathlib import Path

import pytest
import torch

from train.health import Checked, HealthConfig, Node, Peak, RateLimit, judge, rounds
from train.machine import DiskRates, Exchange, Machine, counted_errors, disk_rates, matmul_rate, measure_machine

GOOD = Machine(
    num_devices=1, matmul_flops_per_s=100e9, memory_bytes_per_s=20e9, disk=DiskRates(500e6, 800e6, 50_000_000_000), ecc_errors=0
)


def with_disk(**rates: float) -> Machine:
    return GOOD._replace(disk=GOOD.disk._replace(**rates))


def checked(name: str, machine: Machine = GOOD, *, offset_s: float = 0.0, exchange: Exchange | None = None) -> Checked:
    node = Node(id=f"{name}-of-some-length", host=name, num_cpus=4.0, num_gpus=0.0)
    return Checked(node, machine, offset_s, exchange or Exchange(1e9, True))


def test_nodes_alike_are_all_fit():
    health = judge([checked("a"), checked("b"), checked("c")], HealthConfig())
    assert [each.node.host for each in health.fit] == ["a", "b", "c"]
    assert health.unfit == ()
    assert health.label_selector() is None
    assert health.peak() == Peak(100e9, 3)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (checked("bad", GOOD._replace(matmul_flops_per_s=60e9)), "matmul 60.0 GFLOP/s, 60% of the nodes' median, at least 80%"),
        (checked("bad", GOOD._replace(memory_bytes_per_s=10e9)), "memory 10,000.0 MB/s, 50% of the nodes' median"),
        (checked("bad", with_disk(write_bytes_per_s=1e6)), "disk write 1.0 MB/s, at least 5.0 wanted"),
        (checked("bad", with_disk(free_bytes=10_000_000)), "0.01 GB free, at least 1.00 GB wanted"),
        (checked("bad", GOOD._replace(ecc_errors=3)), "3 uncorrected errors of GPU memory, at most 0 allowed"),
        (checked("bad", offset_s=-9.0), "clock -9.0 s off the driver's, at most 5 s allowed"),
        (checked("bad", exchange=Exchange(1e9, False)), "all-reduce gives wrong sums"),
        (checked("bad", exchange=Exchange(0.0, False)), "all-reduce 0.0 MB/s, at least 1.0 wanted"),
    ],
)  # fmt: skip
def test_a_bad_node_is_left_out_with_the_reason(bad: Checked, reason: str):
    health = judge([checked("a"), bad, checked("c")], HealthConfig())
    assert [each.node.host for each in health.fit] == ["a", "c"]
    assert str(health.unfit[0]).startswith(f"node bad (bad-of-s) is left out: {reason}")
    assert "\n" not in str(health.unfit[0])
    assert health.label_selector() == {"ray.io/node-id": "!in(bad-of-some-length)"}


def test_everything_wrong_with_a_node_is_said_at_once():
    bad = checked("bad", GOOD._replace(ecc_errors=1, matmul_flops_per_s=1.0), offset_s=60.0)
    (left_out,) = judge([bad], HealthConfig()).unfit
    assert left_out.reason.count(";") == 2


def test_limits_are_settings():
    lax = HealthConfig(matmul=RateLimit(share_of_median=0.5, floor=0.0))
    assert judge([checked("a"), checked("b", GOOD._replace(matmul_flops_per_s=60e9)), checked("c")], lax).unfit == ()


def test_workers_without_gpus_share_what_their_nodes_can_do():
    assert Peak(100e9, 2).of(1) == 100e9
    assert Peak(100e9, 2).of(4) == 200e9


@pytest.mark.parametrize("count", [2, 3, 4, 5, 8])
def test_every_node_meets_two_others_and_one_at_a_time(count: int):
    nodes = [Node(str(i), "host", 4.0, 0.0) for i in range(count)]
    partners: dict[str, set[str]] = {node.id: set() for node in nodes}
    for pairs in rounds(nodes):
        met = [node.id for pair in pairs for node in pair]
        assert len(met) == len(set(met))
        for left, right in pairs:
            partners[left.id].add(right.id)
            partners[right.id].add(left.id)
    assert {len(others) for others in partners.values()} == {min(2, count - 1)}


def test_a_node_has_room_for_as_many_workers_as_its_scarcest_resource():
    node = Node("0", "host", num_cpus=8.0, num_gpus=2.0)
    assert node.room(cpus_per_worker=3.0, use_gpu=False) == 2
    assert node.room(cpus_per_worker=1.0, use_gpu=True) == 2
    assert node.room(cpus_per_worker=8.0, use_gpu=True) == 1


def test_a_single_node_meets_nobody():
    assert rounds([Node("0", "host", 4.0, 0.0)]) == []


def test_this_machine_is_measured_in_passing(tmp_path: Path):
    threads = torch.get_num_threads()
    machine = measure_machine(tmp_path, torch.float32)
    assert machine.num_devices >= 1
    assert min(machine.matmul_flops_per_s, machine.memory_bytes_per_s, *machine.disk) > 1e6
    assert list(tmp_path.iterdir()) == []
    assert torch.get_num_threads() == threads


def test_the_rate_of_products_is_one_that_a_processor_can_have():
    assert 1e8 < matmul_rate(torch.float32, torch.device("cpu")) < 1e14


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path):
    with pytest.raises(FileNotFoundError):
        disk_rates(tmp_path / "elsewhere")


def test_memory_errors_are_summed_over_gpus_that_count_them():
    assert counted_errors("0\n[N/A]\n 12\n") == 12
    assert counted_errors("") == 0
