"""Our side of the feed benchmark: steps of a plan, fetched by two actors of Ray Data from a Lance table.

A program of its own, so that it is measured like the peers: ``python -m pipelines.bench.feed_ours FOLDER RESULT``. Ray runs
before the clock starts, as it does when a training begins; the actors do not.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from curation.tables import TableRef, pin
from infra.session import start_ray
from infra.settings import settings_from_environment
from models.cost import PER_SAMPLE
from pipelines.bench.reading import BATCH, NUM_WORKERS, SEED, decoded, read_all
from train.agenda import Agenda
from train.fetch import RayDataConfig, Record, RowReader
from train.fetchers import FetchedRows
from train.plan import Plan, PlanConfig, StageConfig
from train.samples import load_samples

STEPS_PER_BLOCK = 1
"""The steps here are as long as those of a whole training."""


def decode(record: Record) -> Tensor:
    """The picture of a row."""
    encoded = record["image"]
    assert isinstance(encoded, bytes), type(encoded)
    return decoded(encoded)


def batches(folder: Path) -> Iterator[tuple[list[str], Tensor]]:
    """Every picture once, in the order of a plan."""
    ref = pin(TableRef(uri=str(folder / "images.lance"), selection=str(folder / "selection.lance")))
    samples = load_samples(ref, "train", unit="pictures")
    num_steps = len(samples) // BATCH
    stage = StageConfig(name="all", num_steps=num_steps, task_shares={"t2i": 1.0})
    plan = Plan(PlanConfig(seed=SEED, batch_samples=BATCH, num_slots=1, stages=(stage,)), samples.sizes, cost=PER_SAMPLE)
    fetching = RayDataConfig(num_fetchers=NUM_WORKERS, steps_per_block=STEPS_PER_BLOCK)
    source = FetchedRows(RowReader(ref, ["image"], decode, cache_bytes=0), fetching)
    for work, fetched in source.steps(Agenda(plan, samples.picture_rows, rank=0, num_workers=1), range(num_steps)):
        numbers = [pick.sample for pack in work.packs for pick in pack.picks]
        pixels = torch.stack([fetched.decoded[samples.rows(number)[0]] for number in numbers])
        yield [samples.id(number) for number in numbers], pixels


if __name__ == "__main__":
    torch.set_num_threads(1)                                         # as processes of a DataLoader do; a second one waits busily
    start_ray(settings_from_environment())
    read_all(batches(Path(sys.argv[1])), Path(sys.argv[2]))
