"""Batches for the loop: picks of the plan, fetched by row from the pinned table, decoded once, collated ahead of their use.

A thread prepares the next steps while the current one computes. Decoded rows stay in memory up to a bound. Data wait, the time
the loop stood still for want of a batch, is measured on every step.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from queue import Empty, Full, Queue
from typing import Annotated, Generic, NamedTuple, TypeVar

import lance
import numpy as np
import pyarrow as pa
from annotated_types import Gt
from jaxtyping import Int
from pydantic import BaseModel
from torch import Tensor

from curation.tables import open_table
from dataclasses import replace
from train.objectives.contract import B, Drawn, Objective, PackInput, StepInput
from train.parallel.world import owned_slots
from train.plan import Pick, Plan, draw_key
from train.samples import Samples, UnusableTable

_TARGETS_AT_ONCE = 64


class FeedConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """How batches are fetched."""

    prefetch_steps: Annotated[int, Gt(0)] = 3
    """Steps prepared ahead."""
    cache_bytes: Annotated[int, Gt(0)] = 1 << 29
    """Memory for decoded rows."""


class RowCache:
    """Decoded rows of ``images``, the least recently used given up first."""

    def __init__(self, dataset: lance.LanceDataset, objective: Objective, *, cache_bytes: int) -> None:
        self._dataset, self._objective, self._limit = dataset, objective, cache_bytes
        self._held: OrderedDict[int, Tensor] = OrderedDict()
        self._bytes = 0

    def fetch(self, rows: Sequence[int]) -> dict[int, Tensor]:
        """The decoded rows; what is not held is read in one `take`."""
        wanted = sorted(set(rows))
        found = {row: self._held[row] for row in wanted if row in self._held}
        missing = [row for row in wanted if row not in found]
        if missing:
            table = self._dataset.take(missing, columns=list(self._objective.columns))
            found.update(zip(missing, self._decoded(table, missing), strict=True))
        for row in wanted:
            self._keep(row, found[row])
        return found

    def _decoded(self, table: pa.Table, rows: Sequence[int]) -> list[Tensor]:
        records: list[Mapping[str, object]] = table.to_pylist()
        empty = [row for row, record in zip(rows, records, strict=True) if any(value is None for value in record.values())]
        if empty:
            raise UnusableTable(
                f"{len(empty)} selected rows of {self._dataset.uri} version {self._dataset.version} "
                f"have no {self._objective.columns}, "
                f"row {empty[0]} first; run the job that writes them (`seedbed encode` for latents) and train on its version"
            )
        return [self._objective.decode(record) for record in records]

    def _keep(self, row: int, tensor: Tensor) -> None:
        if row in self._held:
            self._held.move_to_end(row)
            return
        self._held[row] = tensor
        self._bytes += tensor.nbytes
        while self._bytes > self._limit and len(self._held) > 1:
            self._bytes -= self._held.popitem(last=False)[1].nbytes


class Feed(Generic[B]):
    """Steps `first_step` to `last_step` (excluded) for the worker that owns `slots`."""

    def __init__(self, samples: Samples, plan: Plan, objective: Objective[B], rows: RowCache, *, config: FeedConfig) -> None:
        self._samples, self._rows, self._objective, self._config, self._plan = samples, rows, objective, config, plan

    def target_pictures(self) -> Iterator[list[Tensor]]:
        rows = [int(row) for row in self._samples.target_rows()]
        for start in range(0, len(rows), _TARGETS_AT_ONCE):
            part = rows[start : start + _TARGETS_AT_ONCE]
            fetched = self._rows.fetch(part)
            yield [fetched[row] for row in part]

    def prepare(self, step: int, slots: Sequence[int], num_workers: int) -> StepInput[B]:
        planned = self._plan.step(step)
        packs = [pack for slot in slots for pack in planned.slots[slot]]
        packs += [(shared.pick,) for shared in planned.shared if shared.slots[0] in slots]
        held = self._rows.fetch([row for pack in packs for pick in pack for row in self._samples.rows(pick.sample)])
        made = []
        for pack in packs:
            units = sum(int(self._samples.sizes.noisy_tokens[pick.sample]) for pick in pack)
            made.append(PackInput(self._objective.collate([self._drawn(pick, step, held) for pick in pack]), units / planned.noisy_tokens, tuple(self._samples.id(pick.sample) for pick in pack)))
        counts = [sum(len(planned.slots[s]) for s in range(r, len(planned.slots), num_workers)) + sum(shared.slots[0] % num_workers == r for shared in planned.shared) for r in range(num_workers)]
        return StepInput(step, made, max(counts), self._plan.config.batch_samples, planned.tokens, planned.flops, 0.0)

    def steps(self, first_step: int, last_step: int, *, rank: int, num_workers: int) -> Iterator[StepInput[B]]:
        slots = owned_slots(self._plan.config.num_slots, rank=rank, num_workers=num_workers)
        ready: Queue = Queue(self._config.prefetch_steps)
        stop = threading.Event()

        def work() -> None:
            for step in range(first_step, last_step):
                if not _put(ready, self._attempt(step, slots, num_workers), stop):
                    return

        thread = threading.Thread(target=work, name="feed", daemon=True)
        thread.start()
        try:
            for step in range(first_step, last_step):
                began = time.perf_counter()
                item = ready.get()
                if isinstance(item, BaseException):
                    raise item
                yield replace(item, wait_s=time.perf_counter() - began)
        finally:
            stop.set()
            thread.join()

    def _attempt(self, step, slots, num_workers):
        try:
            return self.prepare(step, slots, num_workers)
        except BaseException as error:  # noqa: BLE001
            return error

    def _drawn(self, pick: Pick, step: int, held: Mapping[int, Tensor]) -> Drawn:
        samples = self._samples
        target, *references = samples.rows(pick.sample)
        return Drawn(
            key=draw_key(self._plan.config.seed, epoch=pick.epoch, sample_id=samples.id(pick.sample), step=step), task=samples.task(pick.sample),
            texts=samples.texts(pick.sample), text_weights=samples.text_weights(pick.sample),
            score_text=samples.score_text(pick.sample), target=held[target], references=tuple(held[row] for row in references),
        )  # fmt: skip


def build_source(config, ref, objective):
    return RowCache(open_table(ref), objective, cache_bytes=config.cache_bytes)


T = TypeVar("T")


def _put(queue: "Queue[T]", item: T, stop: threading.Event) -> bool:
    while not stop.is_set():
        try:
            queue.put(item, timeout=0.1)
        except Full:
            continue
        return True
    while not queue.empty():
        try:
            queue.get_nowait()
        except Empty:
            break
    return False
