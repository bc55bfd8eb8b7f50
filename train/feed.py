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

from curation.tables import SELECTION_SCHEMA, Split, TableRef, open_table
from train.objectives.contract import B, Drawn, Objective, StepInput
from train.plan import Pick, Plan, PlanConfig, draw_key

_TARGETS_AT_ONCE = 64


class FeedConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """How batches are fetched."""

    prefetch_steps: Annotated[int, Gt(0)] = 3
    """Steps prepared ahead."""
    cache_bytes: Annotated[int, Gt(0)] = 1 << 29
    """Memory for decoded rows."""


class Samples(NamedTuple):
    """The selected samples of one split, in table order."""

    ids: list[str]
    tasks: list[str]
    targets: Int[np.ndarray, " n"]
    """Row of the target picture in ``images``."""
    references: list[tuple[int, ...]]
    """Rows of the reference pictures."""
    texts: list[tuple[str, ...]]
    text_weights: list[tuple[float, ...]]
    score_texts: list[str]
    weights: np.ndarray
    costs: Int[np.ndarray, " n"]
    """Pictures in the sample's sequence: what packs are balanced by while all pictures are of one size."""


class UnusableTable(ValueError):
    """The table or selection cannot be trained on as it is."""


def load_samples(ref: TableRef, split: Split) -> Samples:
    """The samples of a selection, with their pictures' rows in the pinned table.

    Raises:
        UnusableTable: there is no selection, or it names pictures that the table version does not hold.
    """
    if ref.selection is None:
        raise UnusableTable(f"table {ref.uri} was given without a selection; run `seedbed select` and name its output")
    selection = lance.dataset(ref.selection)
    lacking = set(SELECTION_SCHEMA.names) - set(selection.schema.names)
    if lacking:
        raise UnusableTable(f"selection {ref.selection} is of an older release and lacks {min(lacking)!r}; select again")
    chosen = selection.to_table(filter=f"split = '{split}'")
    if not chosen.num_rows:
        raise UnusableTable(f"selection {ref.selection} has no rows of split {split!r}; widen it and select again")
    chosen = chosen.sort_by("sample_id")
    wanted: set[str] = set(chosen["target_id"].to_pylist()).union(*chosen["reference_ids"].to_pylist())
    row_of = _row_numbers(open_table(ref), wanted)
    references = [tuple(row_of[i] for i in ids) for ids in chosen["reference_ids"].to_pylist()]
    return Samples(
        ids=chosen["sample_id"].to_pylist(), tasks=chosen["task"].to_pylist(),
        targets=np.array([row_of[i] for i in chosen["target_id"].to_pylist()]), references=references,
        texts=[tuple(texts) for texts in chosen["texts"].to_pylist()],
        text_weights=[tuple(weights) for weights in chosen["text_weights"].to_pylist()],
        score_texts=chosen["score_text"].to_pylist(), weights=chosen["weight"].to_numpy(),
        costs=np.array([1 + len(rows) for rows in references]),
    )  # fmt: skip


def _row_numbers(dataset: lance.LanceDataset, wanted: set[str]) -> dict[str, int]:
    ids = dataset.to_table(columns=["id"])["id"].to_pylist()
    row_of = {identifier: row for row, identifier in enumerate(ids) if identifier in wanted}
    if missing := wanted - row_of.keys():
        raise UnusableTable(
            f"table {dataset.uri} version {dataset.version} lacks {len(missing)} selected pictures, "
            f"{min(missing)!r} first; select again"
        )
    return row_of


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

    def __init__(
        self, samples: Samples, plan_config: PlanConfig, rows: RowCache, objective: Objective[B], *, config: FeedConfig
    ) -> None:
        self._samples, self._rows, self._objective, self._config = samples, rows, objective, config
        self._seed, self._batch_samples = plan_config.seed, plan_config.batch_samples
        self._plan = Plan(plan_config, tasks=samples.tasks, weights=samples.weights, costs=samples.costs)

    def texts(self) -> list[str]:
        """Every distinct text a model may be told or a result described by."""
        told = {text for texts in self._samples.texts for text in texts}
        return sorted(told | set(self._samples.score_texts))

    def target_pictures(self) -> Iterator[list[Tensor]]:
        """Every distinct target, decoded, in row order and in parts, so that a table larger than memory can be looked at."""
        rows = sorted({int(row) for row in self._samples.targets})
        for start in range(0, len(rows), _TARGETS_AT_ONCE):
            part = rows[start : start + _TARGETS_AT_ONCE]
            fetched = self._rows.fetch(part)
            yield [fetched[row] for row in part]

    def prepare(self, step: int, slots: Sequence[int]) -> list[tuple[float, B]]:
        """The batches of the given slots of one step."""
        planned = self._plan.step(step)
        picks = [planned[slot] for slot in slots if planned[slot]]
        needed = [row for slot_picks in picks for pick in slot_picks for row in self._rows_of(pick)]
        held = self._rows.fetch(needed)
        return [
            (
                len(slot_picks) / self._batch_samples,
                self._objective.collate([self._drawn(pick, step, held) for pick in slot_picks]),
            )
            for slot_picks in picks
        ]

    def steps(self, first_step: int, last_step: int, *, slots: Sequence[int]) -> Iterator[StepInput[B]]:
        """Prepared steps in order; preparation runs ahead in a thread that ends with the iteration."""
        ready: Queue[list[tuple[float, B]] | BaseException] = Queue(self._config.prefetch_steps)
        stop = threading.Event()

        def work() -> None:
            for step in range(first_step, last_step):
                if not _put(ready, self._attempt(step, slots), stop):
                    return

        thread = threading.Thread(target=work, name="feed", daemon=True)
        thread.start()
        try:
            for step in range(first_step, last_step):
                began = time.perf_counter()
                item = ready.get()
                if isinstance(item, BaseException):
                    raise item
                yield StepInput(step, item, self._batch_samples, time.perf_counter() - began)
        finally:
            stop.set()
            thread.join()

    def _attempt(self, step: int, slots: Sequence[int]) -> list[tuple[float, B]] | BaseException:
        try:
            return self.prepare(step, slots)
        except BaseException as error:  # noqa: BLE001  handed over to the loop's thread, which raises it
            return error

    def _rows_of(self, pick: Pick) -> tuple[int, ...]:
        return (int(self._samples.targets[pick.sample]), *self._samples.references[pick.sample])

    def _drawn(self, pick: Pick, step: int, held: Mapping[int, Tensor]) -> Drawn:
        samples = self._samples
        target, *references = self._rows_of(pick)
        return Drawn(
            key=draw_key(self._seed, epoch=pick.epoch, sample_id=samples.ids[pick.sample], step=step),
            texts=samples.texts[pick.sample], text_weights=samples.text_weights[pick.sample],
            score_text=samples.score_texts[pick.sample], target=held[target], references=tuple(held[row] for row in references),
        )  # fmt: skip


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
