"""The selected samples, column by column: what the plan knows of them and what a batch is made of, but no pixels and no latents.

Samples stand in the order of their targets' rows in the pinned table, so that neighbours in a clump of the plan are neighbours on
disk. Ids are joined to rows a few million rows of the table at a time; in memory stay the columns of the selection as Arrow holds
them and some 40 bytes a sample, beside 8 bytes a reference.

n samples · p pictures · r references
"""

from typing import Literal, NamedTuple

import lance
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float, Int

from curation.tables import SELECTION_SCHEMA, Split, TableRef, open_table
from models.text import most_tokens
from train.plan import Sizes

_ROWS_AT_ONCE = 1 << 22

Unit = Literal["noisy tokens", "pictures"]


class UnusableTable(ValueError):
    """The table or selection cannot be trained on as it is."""


class _Pictures(NamedTuple):
    """Selected pictures in the pinned table, every id once."""

    ids: pa.Array
    rows: Int[np.ndarray, " p"]
    cells: Int[np.ndarray, " p"]
    """Cells of the latent."""


class _References(NamedTuple):
    """Lists of rows, end to end."""

    rows: Int[np.ndarray, " r"]
    ends: Int[np.ndarray, " n"]

    def of(self, number: int) -> tuple[int, ...]:
        first = int(self.ends[number - 1]) if number else 0
        return tuple(self.rows[first : int(self.ends[number])].tolist())


class Samples:
    """The selected samples of one split, in the order of their targets' rows."""

    def __init__(
        self, chosen: pa.Table, order: Int[np.ndarray, " n"], *,
        targets: Int[np.ndarray, " n"], references: _References, sizes: Sizes,
    ) -> None:  # fmt: skip
        """Args:
            chosen: rows of the selection.
            order: place of every sample in `chosen`, and in `targets` and `references`.
            sizes: in the order of the samples.
        """
        self.sizes = sizes
        self._chosen, self._order, self._targets, self._references = chosen, order, targets, references

    def __len__(self) -> int:
        return len(self._order)

    def id(self, number: int) -> str:
        """Of the sample."""
        return self._value("sample_id", number)

    def rows(self, number: int) -> tuple[int, ...]:
        """Rows in ``images``: the target's, then the references'."""
        place = int(self._order[number])
        return (int(self._targets[place]), *self._references.of(place))

    def texts(self, number: int) -> tuple[str, ...]:
        """What a model may be told."""
        return tuple(self._value("texts", number))

    def text_weights(self, number: int) -> tuple[float, ...]:
        """Probability of each text."""
        return tuple(self._value("text_weights", number))

    def score_text(self, number: int) -> str:
        """What the target shows."""
        return self._value("score_text", number)

    def all_texts(self) -> list[str]:
        """Every distinct text a model may be told or a result described by, sorted."""
        told = [chunk.flatten() for chunk in self._chosen["texts"].chunks]
        return sorted(pa.chunked_array([*told, *self._chosen["score_text"].chunks]).unique().to_pylist())

    def target_rows(self) -> Int[np.ndarray, " p"]:
        """Every distinct row of a target, sorted."""
        return np.unique(self._targets)
