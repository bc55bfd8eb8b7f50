"""Other ways to give ranks their samples: operations of every rank, step by step.

All see the same samples in the same order; what is planned ahead is planned with the same metadata as ours. Operations are what a
rank computes, padding included; a step lasts as long as the rank with the most.

n samples in the order drawn · k samples of a step · s steps · r ranks
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Float, Int

from pipelines.bench.packing_mixes import Mix
from train.balance import Limits, place

Loads = Float[np.ndarray, "s r"]


def padded(mix: Mix, order: Int[np.ndarray, " n"], *, num_ranks: int, batch: int) -> tuple[Loads, float]:
    """`batch` samples a rank as they come, each padded to the longest of its rank; the loads, and the operations of use."""
    used = order[: len(order) // (num_ranks * batch) * num_ranks * batch].reshape(-1, num_ranks, batch)
    return batch * mix.cost.of(mix.told_tokens[used].max(-1), mix.sizes.noisy_tokens[used].max(-1)), _useful(mix, used)


def bucketed(mix: Mix, order: Int[np.ndarray, " n"], *, num_ranks: int, budget: int) -> tuple[Loads, float]:
    """A rank's batch is of one task and one area (in steps of a factor of 1.25), about `budget` tokens.

    Targets, texts and references are padded to the longest of the batch; batches go to ranks as they fill up.
    """
    tokens = mix.told_tokens + mix.sizes.noisy_tokens
    areas = np.floor(np.log(mix.sizes.noisy_tokens) / np.log(1.25)).astype(np.int64)
    buckets = areas * len(mix.sizes.task_names) + mix.sizes.tasks
    batch_of = {bucket: max(1, int(budget / tokens[buckets == bucket].mean())) for bucket in np.unique(buckets).tolist()}
    waiting: dict[int, list[int]] = defaultdict(list)
    loads, batches = [], []
    for sample, bucket in zip(order.tolist(), buckets[order].tolist(), strict=True):
        waiting[bucket].append(sample)
        if len(waiting[bucket]) == batch_of[bucket]:
            batch = waiting.pop(bucket)
            longest = (counts[[batch]].max(-1) for counts in (mix.told_tokens, mix.sizes.noisy_tokens))
            loads.append(len(batch) * float(mix.cost.of(*longest)[0]))
            batches.append(batch)
    whole = len(batches) // num_ranks * num_ranks
    return np.array(loads[:whole]).reshape(-1, num_ranks), sum(_useful(mix, np.array(batch)) for batch in batches[:whole])


def packed_locally(mix: Mix, order: Int[np.ndarray, " n"], *, num_ranks: int, budget: int) -> tuple[Loads, float]:
    """Every rank fills its step with samples of its own share of the stream up to `budget` tokens; nothing is padded."""
    tokens, flops = mix.told_tokens + mix.sizes.noisy_tokens, mix.flops()
    of_ranks = [list(_filled(order[rank::num_ranks], tokens, budget)) for rank in range(num_ranks)]
    num_steps = min(len(packs) for packs in of_ranks)
    loads = np.array([[flops[packs[step]].sum() for packs in of_ranks] for step in range(num_steps)])
    return loads, float(loads.sum())


def greedy_by_tokens(mix: Mix, steps: Sequence[Int[np.ndarray, " k"]], *, num_ranks: int) -> tuple[Loads, float]:
    """The step's samples, longest first, to the rank with the fewest tokens."""
    tokens, flops, loads = mix.sizes.clean_tokens + mix.sizes.noisy_tokens, mix.flops(), []
    for samples in steps:
        longest_first = samples[np.argsort(-tokens[samples], kind="stable")]
        ordered = tokens[longest_first]
        slots = place(ordered.astype(np.float64), ordered, Limits(num_ranks, int(ordered.sum()), 1)).slots
        loads.append([sum(float(flops[longest_first[pack]].sum()) for pack in packs) for packs in slots])
    return np.array(loads), float(np.sum(loads))


def _filled(samples: Int[np.ndarray, " n"], tokens: Int[np.ndarray, " all"], budget: int) -> Iterator[list[int]]:
    pack, room = [], budget
    for sample in samples.tolist():
        size = int(tokens[sample])
        if pack and size > room:
            yield pack
            pack, room = [], budget
        pack.append(sample)
        room -= size


def _useful(mix: Mix, samples: Int[np.ndarray, "..."]) -> float:
    return float(mix.cost.of(mix.told_tokens[samples], mix.sizes.noisy_tokens[samples]).sum())
