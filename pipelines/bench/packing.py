"""Packing: how evenly a step's operations fall on ranks, beside other ways to give ranks their samples; and what planning takes.

Utilisation is the operations of use, divided by ranks times the operations of the fullest rank of every step: the share of the
hardware that the way of packing leaves to use. A rank is a slot. The cases, with mixes from `pipelines.bench.packing_mixes`:

* corpus: the embedded corpus for the demo's generator on 4 ranks of 256 samples, some 16 thousand tokens; planned by the most
  tokens that a text may have, judged by those of the text that is told;
* recipe: the same with the demo's batch of 48 samples, 12 a rank: too few to even out which of its texts a sample is told, so
  that 0.95 is asked of it and 0.99 of all others;
* 64, 256: large pictures for six billion parameters on so many ranks, some 32 thousand tokens each, packs of at most 16,384,
  longer samples shared by eight ranks;
* 64_fitting, 256_fitting: the same without the longer samples, which no peer shares.

Planning is timed in a process of its own for every number of samples: the plan with its first step, 300 more and 10 far away,
each of 512 large pictures with fractional weights.
"""

import json
import resource
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from infra.settings import CODE_ROOT
from pipelines.bench.packing_mixes import Mix, chosen, corpus, large_pictures, without_long
from pipelines.bench.packing_peers import Loads, bucketed, greedy_by_tokens, packed_locally, padded
from pipelines.bench.result import Measured
from train.plan import Plan, PlanConfig, StageConfig, StepPlan

MAX_TOKENS = 16_384
_BUDGET = 32_768
"""Tokens of a rank in a step of large pictures."""
_FAR = 10**9


class _Case(NamedTuple):
    """One mix on some ranks."""

    mix: Mix
    num_ranks: int
    samples_per_rank: int
    context_slots: int = 1


def run(*, is_quick: bool) -> Measured:
    """Utilisation of all ways, and seconds and memory of planning."""
    num_steps = 5 if is_quick else 40
    found: dict[str, dict[str, float]] = {}
    for name, case in _cases().items():
        for way, share in _utilisations(case, num_steps).items():
            found.setdefault(way, {})[f"utilisation_{name}"] = share
    ours = found.pop("ours")
    ratios = {name: value / max(peer[name] for peer in found.values()) for name, value in ours.items()}
    checks = _checks(ours)
    for size in (10**5, 10**6) if is_quick else (10**5, 10**6, 10**7):
        ours |= {f"planning_{size:.0e}_{name}".replace("e+0", "e"): value for name, value in _in_own_process(size).items()}
    return Measured(ours=ours, peers=found, ratios=ratios, checks=checks)


def _checks(utilisations: Mapping[str, float]) -> dict[str, bool]:
    asked = {name: 0.95 if name == "utilisation_recipe" else 0.99 for name in utilisations}
    return {f"{name} is at least {asked[name]:g} ({value:.4f})": value >= asked[name] for name, value in utilisations.items()}


def _cases() -> dict[str, _Case]:
    large = large_pictures(200_000)
    samples = round(_BUDGET / float((large.sizes.clean_tokens + large.sizes.noisy_tokens).mean()))
    fitting = without_long(large, MAX_TOKENS)
    return {
        "corpus": _Case(corpus(100_000), 4, 256),
        "recipe": _Case(corpus(100_000), 4, 12),
        "64": _Case(large, 64, samples, context_slots=8),
        "256": _Case(large, 256, samples, context_slots=8),
        "64_fitting": _Case(fitting, 64, samples),
        "256_fitting": _Case(fitting, 256, samples),
    }


def _utilisations(case: _Case, num_steps: int) -> dict[str, float]:
    """Of every way, by name."""
    mix, num_ranks = case.mix, case.num_ranks
    plan = _plan(case)
    steps = [plan.step(step) for step in range(num_steps)]
    samples = [_samples(step) for step in steps]
    order = np.random.default_rng(0).permutation(np.concatenate(samples))  # a plan's step is sorted, a stream is not
    budget = round(float((mix.told_tokens + mix.sizes.noisy_tokens).mean()) * case.samples_per_rank)
    flops = mix.flops()
    ours = np.array([_loads(step, flops) for step in steps])
    return {
        "ours": _share(ours, float(ours.sum())),
        "padded to the longest": _share(*padded(mix, order, num_ranks=num_ranks, batch=case.samples_per_rank)),
        "buckets": _share(*bucketed(mix, order, num_ranks=num_ranks, budget=budget)),
        "packed by each rank": _share(*packed_locally(mix, order, num_ranks=num_ranks, budget=budget)),
        "greedy by tokens": _share(*greedy_by_tokens(mix, samples, num_ranks=num_ranks)),
    }


def _plan(case: _Case) -> Plan:
    stage = StageConfig(name="all", num_steps=2 * _FAR, task_shares=case.mix.task_shares)
    config = PlanConfig(
        seed=0, batch_samples=case.num_ranks * case.samples_per_rank, num_slots=case.num_ranks, stages=(stage,),
        max_tokens=MAX_TOKENS, context_slots=case.context_slots,
    )  # fmt: skip
    return Plan(config, case.mix.sizes, cost=case.mix.cost)


def _samples(step: StepPlan) -> Int[np.ndarray, " k"]:
    alone = [pick.sample for packs in step.slots for pack in packs for pick in pack]
    return np.array([*(shared.pick.sample for shared in step.shared), *alone])


def _loads(step: StepPlan, flops: Float[np.ndarray, " n"]) -> list[float]:
    loads = [float(flops[[pick.sample for pack in packs for pick in pack]].sum()) for packs in step.slots]
    for pick, slots in step.shared:
        for slot in slots:
            loads[slot] += float(flops[pick.sample]) / len(slots)
    return loads


def _share(loads: Loads, useful: float) -> float:
    return useful / (loads.shape[1] * float(loads.max(1).sum()))


def _in_own_process(num: int) -> dict[str, float]:
    code = f"from pipelines.bench import packing; packing.report({num})"
    finished = subprocess.run([sys.executable, "-c", code], cwd=CODE_ROOT, capture_output=True, text=True, check=True)
    return json.loads(finished.stdout.splitlines()[-1])


def report(num: int) -> None:
    """Plan over so many samples in this process and print seconds and peak memory, of the process and its imports included."""
    mix = large_pictures(10**5)
    case = _Case(mix._replace(sizes=chosen(mix.sizes, np.arange(num, dtype=np.int32) % 10**5)), 64, 8, context_slots=8)
    began = time.perf_counter()
    plan = _plan(case)
    plan.step(0)
    first_s = time.perf_counter() - began
    for step in [*range(1, 301), *range(_FAR, _FAR + 10**6, 10**5)]:
        plan.step(step)
    seconds = time.perf_counter() - began
    print(json.dumps({
        "first_step_s": first_s, "s": seconds, "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }))  # fmt: skip
