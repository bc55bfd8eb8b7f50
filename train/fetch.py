"""Rows of ``images``, read by number from the pinned table and decoded; the most recently used stay in memory.

A picture that cannot be decoded is told of, not raised: whoever asked decides what becomes of the samples it is in.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Literal, NamedTuple

import lance
import pyarrow as pa
from annotated_types import Ge, Gt
from pydantic import BaseModel, Field
from torch import Tensor

from curation.decode import Undecodable
from curation.tables import LATENT, TableRef, open_table

Record = Mapping[str, object]
"""Columns of one row."""


class InProcessConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """The worker itself fetches and decodes: for tables whose decoded rows fit into memory, and for runs without Ray."""

    kind: Literal["in_process"] = "in_process"
    cache_bytes: Annotated[int, Ge(0)] = 1 << 29
    """Memory for decoded rows."""


class RayDataConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Actors of Ray Data fetch and decode, anywhere in the cluster, ahead of the worker they are for."""

    kind: Literal["ray_data"] = "ray_data"
    num_fetchers: Annotated[int, Gt(0)]
    """Actors for each worker."""
    cpus_per_fetcher: Annotated[float, Gt(0.0)] = 1.0
    """Logical CPUs an actor takes."""
    steps_per_block: Annotated[int, Gt(0)] = 4
    """Steps that an actor fetches at once: more of them cost Ray less, and take longer to the first."""
    ahead_bytes: Annotated[int, Gt(0)] = 1 << 28
    """Decoded rows that may lie ready for a worker in the object store."""
    cache_bytes: Annotated[int, Ge(0)] = 0
    """Memory of each actor for decoded rows; steps go to actors as they come, so it helps where all rows fit."""


RowsConfig = Annotated[InProcessConfig | RayDataConfig, Field(discriminator="kind")]


class Fetched(NamedTuple):
    """What came of some rows; every one of them is in one of the three."""

    decoded: dict[int, Tensor]
    undecodable: dict[int, str]
    """Why, by row."""
    empty: tuple[int, ...]
    """Rows that lack a value."""


class RowReader:
    """Decoded rows of ``images``, the least recently used given up first."""

    def __init__(
        self, ref: TableRef, columns: Sequence[str], decode: Callable[[Record], Tensor], *, cache_bytes: int
    ) -> None:  # fmt: skip
        self.ref, self.columns, self.decode = ref, tuple(columns), decode
        self._dataset, self._limit = open_table(ref), cache_bytes
        self._held: OrderedDict[tuple[int, str], Tensor] = OrderedDict()
        self._bytes = 0

    @property
    def place(self) -> str:
        """What is read, in words."""
        return f"{self.ref.uri} version {self.ref.version}"

    def names(self, latents: str) -> list[str]:
        """Names in the table of what is read, where latents stand in this column."""
        return [latents + name.removeprefix(LATENT) if name.startswith(LATENT) else name for name in self.columns]

    def fetch(self, rows: Sequence[int], *, latents: str = LATENT) -> Fetched:
        """The decoded rows; what is not held is read in one request.

        Args:
            latents: column that stands for ``latent``, where that is among the columns.
        """
        wanted = sorted(set(rows))
        fetched = Fetched({row: self._held[row, latents] for row in wanted if (row, latents) in self._held}, {}, ())
        missing = [row for row in wanted if row not in fetched.decoded]
        if missing:
            fresh = self._read(missing, latents)
            fetched = Fetched({**fetched.decoded, **fresh.decoded}, fresh.undecodable, fresh.empty)
        for row, tensor in fetched.decoded.items():
            self._keep((row, latents), tensor)
        return fetched

    def _read(self, rows: Sequence[int], latents: str) -> Fetched:
        values = [_column(self._dataset, name, rows) for name in self.names(latents)]
        decoded: dict[int, Tensor] = {}
        undecodable: dict[int, str] = {}
        empty: list[int] = []
        for row, *record in zip(rows, *values, strict=True):
            if any(value is None for value in record):
                empty.append(row)
                continue
            try:
                decoded[row] = self.decode(dict(zip(self.columns, record, strict=True)))
            except Undecodable as error:
                undecodable[row] = str(error)
        return Fetched(decoded, undecodable, tuple(empty))

    def _keep(self, key: tuple[int, str], tensor: Tensor) -> None:
        if key in self._held:
            self._held.move_to_end(key)
            return
        self._held[key] = tensor
        self._bytes += tensor.nbytes
        while self._bytes > self._limit:
            self._bytes -= self._held.popitem(last=False)[1].nbytes


def _column(dataset: lance.LanceDataset, name: str, rows: Sequence[int]) -> list[object]:
    """Values of a column: bytes whole, lists of floats as arrays, None where there is none."""
    if isinstance(dataset.schema.field(name).type, lance.blob.BlobType):
        return [content for _, content in dataset.read_blobs(name, indices=list(rows), preserve_order=True)]
    values = dataset.take(list(rows), columns=[name])[name]
    if pa.types.is_list(values.type) and pa.types.is_floating(values.type.value_type):
        return [one.values.to_numpy() if one.is_valid else None for one in values]
    return values.to_pylist()
