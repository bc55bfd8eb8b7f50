"""The groups of workers that share packs too long for one of them."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch.distributed as dist

from models.context import Context
from train.agenda import sharers
from train.parallel.world import World
from train.plan import PlanConfig


@contextmanager
def contexts(plan: PlanConfig, world: World) -> Iterator[dict[range, Context]]:
    """This worker's groups by their ranks, for the time of the block; every worker must ask."""
    size = plan.context_slots
    groups = [range(start, start + size) for start in range(0, plan.num_slots, size)] if size > 1 else []
    distinct = sorted({sharers(slots, world.size) for slots in groups}, key=lambda ranks: (ranks.start, ranks.stop))
    made = {ranks: dist.new_group(list(ranks)) for ranks in distinct if len(ranks) > 1}
    mine = {ranks: group for ranks, group in made.items() if isinstance(group, dist.ProcessGroup)}
    try:
        yield {ranks: Context(group) for ranks, group in mine.items()}
    finally:
        for group in mine.values():
            dist.destroy_process_group(group)
