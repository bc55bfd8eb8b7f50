"""Checks of every node before a run starts: the slow and the faulty are left out, by name.

One actor is pinned to each node and measures it (`train.machine`); all nodes measure at once, so that what they share (a disk, a
switch) is loaded as in training. Nodes then sum tensors in pairs, each with two partners: a node is as good as its better pair,
so that a bad one does not take its partner down with it. What is measured is judged against floors and against the median of
the nodes, and a reason is given for every node left out.
"""

import logging
import socket
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple, TypeVar, cast

import torch
from annotated_types import Ge, Gt, Le
from pydantic import BaseModel

from train.machine import Exchange, Machine, all_reduce_rate, measure_machine

if TYPE_CHECKING:
    from ray import ObjectRef
    from ray.actor import ActorHandle

logger = logging.getLogger(__name__)

NODE_ID_LABEL = "ray.io/node-id"
"""The label that Ray gives every node."""

_CLOCK_ROUNDS = 3
_MEETING_TIMEOUT_S = 10.0

Rate = Literal["matmul", "memory", "disk write", "disk read", "all-reduce"]


class RateLimit(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Below which a rate is too slow."""

    share_of_median: Annotated[float, Ge(0.0), Le(1.0)]
    """Least share of the median over nodes."""
    floor: Annotated[float, Ge(0.0)]
    """Least rate a second, however slow the others are: operations of matrix products, else bytes."""


class HealthConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Which nodes may take part in a run."""

    matmul: RateLimit = RateLimit(share_of_median=0.8, floor=1e9)
    """Matrix products in the run's arithmetic."""
    memory: RateLimit = RateLimit(share_of_median=0.7, floor=5e8)
    """Copies in the memory of the device."""
    disk_write: RateLimit = RateLimit(share_of_median=0.3, floor=5e6)
    """Writing into the run's folder."""
    disk_read: RateLimit = RateLimit(share_of_median=0.3, floor=5e6)
    """Reading from the run's folder."""
    all_reduce: RateLimit = RateLimit(share_of_median=0.5, floor=1e6)
    """Summing a tensor with another node."""
    min_free_bytes: Annotated[int, Ge(0)] = 1_000_000_000
    """Least room on the disk of the run's folder."""
    max_clock_offset_s: Annotated[float, Gt(0.0)] = 5.0
    """Most that a node's clock may differ from the driver's."""
    max_ecc_errors: Annotated[int, Ge(0)] = 0
    """Most uncorrected errors of GPU memory."""
    timeout_s: Annotated[float, Gt(0.0)] = 120.0
    """A node that has not answered by then is left out."""

    def limits(self) -> dict[Rate, RateLimit]:
        """Limits by what they limit."""
        return {
            "matmul": self.matmul, "memory": self.memory, "disk write": self.disk_write, "disk read": self.disk_read,
            "all-reduce": self.all_reduce,
        }  # fmt: skip


class Node(NamedTuple):
    """A node of the cluster."""

    id: str
    host: str
    num_cpus: float
    num_gpus: float

    def room(self, *, cpus_per_worker: float, use_gpu: bool) -> int:
        """Workers that fit on it."""
        by_cpu = int(self.num_cpus // cpus_per_worker)
        return min(by_cpu, int(self.num_gpus)) if use_gpu else by_cpu


class Checked(NamedTuple):
    """What was found on a node."""

    node: Node
    machine: Machine
    clock_offset_s: float
    """How far its clock is ahead of the driver's."""
    exchange: Exchange | None
    """Its better one; None where there is no other node."""

    def rates(self) -> dict[Rate, float]:
        """Rates by name, those that were measured."""
        machine, disk = self.machine, self.machine.disk
        found: dict[Rate, float] = {
            "matmul": machine.matmul_flops_per_s, "memory": machine.memory_bytes_per_s,
            "disk write": disk.write_bytes_per_s, "disk read": disk.read_bytes_per_s,
        }  # fmt: skip
        return found if self.exchange is None else {**found, "all-reduce": self.exchange.bytes_per_s}


class Unfit(NamedTuple):
    """A node to leave out."""

    node: Node
    reason: str

    def __str__(self) -> str:
        return f"node {self.node.host} ({self.node.id[:8]}) is left out: {self.reason}"


class Peak(NamedTuple):
    """Rate of matrix products that was measured, what utilisation is a share of."""

    flops_per_s: float
    """Of one device: a GPU, or all processors of a node without any."""
    num_devices: int

    def of(self, num_workers: int) -> float:
        """Of the devices under so many workers: each has a GPU; without GPUs, workers share their nodes' processors."""
        return self.flops_per_s * min(num_workers, self.num_devices)


class Health(NamedTuple):
    """What the checks found."""

    fit: tuple[Checked, ...]
    unfit: tuple[Unfit, ...]

    def label_selector(self) -> dict[str, str] | None:
        """Keeps Ray's placement off the unfit nodes; None when all may be used."""
        if not self.unfit:
            return None
        return {NODE_ID_LABEL: f"!in({','.join(each.node.id for each in self.unfit)})"}

    def peak(self) -> Peak:
        """Of the fit nodes; there must be one."""
        rates = [each.machine.matmul_flops_per_s for each in self.fit]
        return Peak(statistics.median(rates), sum(each.machine.num_devices for each in self.fit))


def judge(found: Sequence[Checked], config: HealthConfig) -> Health:
    """Who is fit, by floors and by the median of all that were found."""
    medians: dict[Rate, float] = {
        rate: statistics.median([each.rates()[rate] for each in found if rate in each.rates()] or [0.0])
        for rate in config.limits()
    }
    problems = [_problems(each, config, medians) for each in found]
    return Health(
        fit=tuple(each for each, said in zip(found, problems, strict=True) if not said),
        unfit=tuple(Unfit(each.node, "; ".join(said)) for each, said in zip(found, problems, strict=True) if said),
    )


def _problems(each: Checked, config: HealthConfig, medians: Mapping[Rate, float]) -> list[str]:
    said = [
        problem
        for rate, limit in config.limits().items()
        if rate in each.rates() and (problem := _slowness(rate, each.rates()[rate], medians[rate], limit))
    ]
    if each.exchange is not None and each.exchange.bytes_per_s and not each.exchange.is_right:
        said.append("all-reduce gives wrong sums")
    if each.machine.disk.free_bytes < config.min_free_bytes:
        said.append(f"{each.machine.disk.free_bytes / 1e9:.2f} GB free, at least {config.min_free_bytes / 1e9:.2f} GB wanted")
    if abs(each.clock_offset_s) > config.max_clock_offset_s:
        said.append(f"clock {each.clock_offset_s:+.1f} s off the driver's, at most {config.max_clock_offset_s:g} s allowed")
    if each.machine.ecc_errors > config.max_ecc_errors:
        said.append(f"{each.machine.ecc_errors} uncorrected errors of GPU memory, at most {config.max_ecc_errors} allowed")
    return said


def _slowness(rate: Rate, value: float, median: float, limit: RateLimit) -> str:
    unit = "GFLOP/s" if rate == "matmul" else "MB/s"
    scale = 1e9 if rate == "matmul" else 1e6
    if value < limit.floor:
        return f"{rate} {value / scale:,.1f} {unit}, at least {limit.floor / scale:,.1f} wanted"
    if value < limit.share_of_median * median:
        share = f"{value / median:.0%} of the nodes' median, at least {limit.share_of_median:.0%} wanted"
        return f"{rate} {value / scale:,.1f} {unit}, {share}"
    return ""


Measure = Callable[[Path, torch.dtype], Machine]


def check_nodes(folder: Path, config: HealthConfig, *, dtype: torch.dtype, measure: Measure = measure_machine) -> Health:
    """Measure every node that workers can be placed on, and judge them.

    Ray must be running.

    Args:
        folder: the run's; a node that cannot write there is unfit.
        dtype: of the run's matrix products.
        measure: what runs on each node; it reaches workers by value or by import.
    """
    import ray

    nodes = [
        Node(raw["NodeID"], raw["NodeManagerHostname"], raw["Resources"]["CPU"], raw["Resources"].get("GPU", 0.0))
        for raw in ray.nodes()
        if raw["Alive"] and raw["Resources"].get("CPU", 0.0) > 0
    ]
    if len(nodes) == 1 and not nodes[0].num_gpus and nodes[0].host == socket.gethostname():
        return _said(judge([Checked(nodes[0], measure(folder, dtype), 0.0, None)], config))  # here: seconds saved at every start
    probes = {node: _probe(node) for node in nodes}
    try:
        return _checked(probes, folder, config, dtype=dtype, measure=measure)
    finally:
        for probe in probes.values():
            ray.kill(probe)


def _checked(
    probes: "Mapping[Node, ActorHandle]", folder: Path, config: HealthConfig, *, dtype: torch.dtype, measure: Measure
) -> Health:
    deadline = time.monotonic() + config.timeout_s
    machines, failed = _answers({node: probe.measure.remote(measure, folder, dtype) for node, probe in probes.items()}, deadline)
    there = [node for node in probes if node in machines]
    offsets = _clock_offsets({node: probes[node] for node in there}, deadline)
    exchanges = _exchanges({node: probes[node] for node in there}, deadline)
    found = [Checked(node, machines[node], offsets.get(node, 0.0), exchanges.get(node)) for node in there]
    health = judge(found, config)
    return _said(health._replace(unfit=health.unfit + tuple(failed)))


def _said(health: Health) -> Health:
    for each in health.unfit:
        logger.warning("node left out", extra={"node": each.node.id, "host": each.node.host, "reason": each.reason})
    return health


class _Probe:
    """Runs on the node that is measured."""

    def measure(self, measure: Measure, folder: Path, dtype: torch.dtype) -> Machine:
        return measure(folder, dtype)

    def clock(self) -> float:
        return time.time()

    def free_address(self) -> str:
        """Where the first of a pair will listen."""
        from ray.util import get_node_ip_address

        host = get_node_ip_address()
        with socket.socket() as listener:
            listener.bind((host, 0))
            return f"{host}:{listener.getsockname()[1]}"

    def meet(self, rank: int, address: str) -> Exchange:
        return all_reduce_rate(rank, 2, address=address, timeout_s=_MEETING_TIMEOUT_S)


def _probe(node: Node) -> "ActorHandle":
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    strategy = NodeAffinitySchedulingStrategy(node.id, soft=False)
    probe = ray.remote(_Probe).options(num_cpus=0, num_gpus=node.num_gpus, scheduling_strategy=strategy).remote()
    return cast("ActorHandle", probe)                                # Ray's own stubs do not say so


T = TypeVar("T")


def _answers(asked: "Mapping[Node, ObjectRef[T]]", deadline: float) -> tuple[dict[Node, T], list[Unfit]]:
    """What came back in time, and who failed or did not answer."""
    import ray
    from ray.exceptions import RayError

    ray.wait(list(asked.values()), num_returns=len(asked), timeout=max(0.0, deadline - time.monotonic()))
    answers: dict[Node, T] = {}
    failed: list[Unfit] = []
    for node, reference in asked.items():
        try:
            answers[node] = ray.get(reference, timeout=0)
        except RayError as error:
            failed.append(Unfit(node, _last_line(error)))
    return answers, failed


def _last_line(error: Exception) -> str:
    from ray.exceptions import GetTimeoutError

    return "no answer in time" if isinstance(error, GetTimeoutError) else str(error).strip().splitlines()[-1]


def _clock_offsets(probes: "Mapping[Node, ActorHandle]", deadline: float) -> dict[Node, float]:
    """Against the middle of question and answer (Cristian 1989), from the quickest of a few rounds."""
    quickest, offsets = float("inf"), dict[Node, float]()
    for _ in range(_CLOCK_ROUNDS):
        began = time.time()
        told, _ = _answers({node: probe.clock.remote() for node, probe in probes.items()}, deadline)
        ended = time.time()
        if ended - began < quickest:
            quickest, offsets = ended - began, {node: clock - (began + ended) / 2 for node, clock in told.items()}
    return offsets


def _exchanges(probes: "Mapping[Node, ActorHandle]", deadline: float) -> dict[Node, Exchange]:
    """The better exchange of every node."""
    best: dict[Node, Exchange] = {}
    for pairs in rounds(list(probes)):
        addresses, _ = _answers({pair[0]: probes[pair[0]].free_address.remote() for pair in pairs}, deadline)
        asked = {
            node: probes[node].meet.remote(rank, addresses[pair[0]])
            for pair in pairs if pair[0] in addresses
            for rank, node in enumerate(pair)
        }  # fmt: skip
        found, failed = _answers(asked, deadline)
        for node, exchange in [*found.items(), *((each.node, Exchange(0.0, is_right=False)) for each in failed)]:
            known = best.get(node)
            if known is None or (exchange.is_right, exchange.bytes_per_s) > (known.is_right, known.bytes_per_s):
                best[node] = exchange
    return best


def rounds(nodes: Sequence[Node]) -> list[list[tuple[Node, Node]]]:
    """Pairs that meet at once, round by round: everyone meets both neighbours on a ring; of two nodes, each the other."""
    count = len(nodes)
    if count < 2:
        return []
    ring = [(nodes[i], nodes[(i + 1) % count]) for i in range(count if count > 2 else 1)]
    even, odd = ring[0 : count - 1 : 2], ring[1:count:2]
    last = [ring[-1]] if count % 2 else []
    return [pairs for pairs in (even, odd, last) if pairs]
