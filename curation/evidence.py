"""What decisions over the same rows have in common, computed once.

Hundreds of decisions over one table differ in a few settings. Whatever they share (the answer to one predicate, the clusters
of one setting of duplicates, words, cells, draws) is computed at its first use and remembered by the settings it depends on.
Columns are read as Arrow by name; pixels are never touched.

n rows
"""

# pyarrow.compute makes its functions at import, where the checker cannot see them.
# pyright: reportAttributeAccessIssue=false

from collections.abc import Callable
from functools import cached_property
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float64, Int64, UInt64

from curation import balance
from curation.balance import CellAxis, Tokens, Vocabulary, WordAxis, Words
from curation.dedup import rule
from curation.dedup.cells import CellTree, FeatureLookup, codes_in, fit_tree
from curation.dedup.clusters import Clusters, clusters
from curation.dedup.rule import DedupConfig
from curation.draws import text_hashes, unit_draws
from curation.predicates import Answer, Leaves, Predicate, answer, columns_of
from infra.errors import UserError
from infra.storage import canonical_json

Found = TypeVar("Found")


class Evidence:
    """Rows and what has been found out about them so far.

    Args:
        rows: table with ``id`` and whatever columns the decisions name.
        features: by number of the row; None when there are none.
        earlier: `Clusters.names` of an earlier decision over some of the rows, 0 for the others.
    """

    def __init__(
        self, rows: pa.Table, *, features: FeatureLookup | None = None, earlier: UInt64[np.ndarray, "n"] | None = None
    ) -> None:
        self.rows = rows
        self._features = features
        self._earlier = earlier
        self._known: dict[tuple[str, ...], object] = {}

    @property
    def num_rows(self) -> int:
        """Rows of the table."""
        return self.rows.num_rows

    @cached_property
    def ids(self) -> UInt64[np.ndarray, "n"]:
        """64-bit hash of each id: the key of the row's draws and name of its cluster."""
        return text_hashes(self.rows["id"])

    @property
    def features(self) -> FeatureLookup:
        """Where features are looked up.

        Raises:
            UserError: there are none.
        """
        if self._features is None:
            raise UserError("the decision compares features, but the rows have none; set near.cosine to -1 and cells to null")
        return self._features

    def leaves(self, column: str) -> Leaves:
        """The values of a column as numbers; a missing value is -1."""
        return self._once(("leaves", column), lambda: _leaves(self.column(column)))

    def answer(self, predicate: Predicate, leaf: str) -> Answer:
        """What the predicate says of every row; limits by leaf go by the column `leaf`."""
        for name in columns_of(predicate):
            self.column(name)
        key = ("answer", leaf, canonical_json(predicate))
        return self._once(key, lambda: answer(predicate, self.rows, lambda: self.leaves(leaf)))

    def clusters(self, config: DedupConfig) -> Clusters:
        """Duplicates among all rows, whatever else is said of them."""

        def find() -> Clusters:
            for name in rule.columns_of(config):
                self.column(name)
            features = self.features if self._features is not None or _asks_features(config) else _no_features
            return clusters(self.rows, self.ids, config, features, earlier=self._earlier)

        return self._once(("clusters", canonical_json(config)), find)

    def cluster_codes(self, config: DedupConfig | None) -> Int64[np.ndarray, "n"]:
        """A number for the near cluster of each row; every row its own without a setting for duplicates."""
        if config is None:
            return np.arange(self.num_rows)

        def number() -> Int64[np.ndarray, "n"]:
            return np.unique(self.clusters(config).names, return_inverse=True)[1]

        return self._once(("cluster codes", canonical_json(config)), number)

    def tokens(self, column: str) -> Tokens:
        """Words of a column of texts."""
        return self._once(("tokens", column), lambda: balance.tokens_of(self.column(column)))

    def vocabulary(self, axis: WordAxis) -> Vocabulary:
        """Words of the column with the number of rows that have them."""
        found = self._once(("vocabulary", axis.column), lambda: balance.vocabulary_of(self.tokens(axis.column)))
        return balance.frequent(found, axis.min_rows)

    def words(self, axis: WordAxis, vocabulary: Vocabulary | None = None) -> Words:
        """Entries of every row, from the words of these rows or from a vocabulary of more of them."""
        key = ("words", axis.column, str(axis.min_rows), str(axis.most))
        return self._once(key, lambda: balance.entries(self.tokens(axis.column), vocabulary or self.vocabulary(axis), axis.most))

    def tree(self, axis: CellAxis) -> CellTree:
        """Nested cells fitted on a keyed sample of the rows."""

        def fit() -> CellTree:
            return fit_tree(np.arange(self.num_rows), self.ids, self.features, branching=axis.branching, seed=axis.seed)

        return self._once(("tree", str(axis.branching), str(axis.seed)), fit)

    def cells(self, axis: CellAxis, tree: CellTree | None = None) -> list[Int64[np.ndarray, "n"]]:
        """The cell of every row at every level, in cells fitted on these rows or on more of them."""
        key = ("cells", str(axis.branching), str(axis.seed))
        return self._once(key, lambda: codes_in(tree or self.tree(axis), np.arange(self.num_rows), self.features))

    def draws(self, purpose: str, seed: int) -> Float64[np.ndarray, "n"]:
        """A keyed draw in [0, 1) for each row."""
        return self._once(("draws", purpose, str(seed)), lambda: unit_draws(self.ids, purpose, seed))

    def column(self, name: str) -> pa.ChunkedArray:
        """The column.

        Raises:
            UserError: the table has no such column.
        """
        if name not in self.rows.schema.names:
            there = ", ".join(self.rows.schema.names)
            raise UserError(f"the decision reads a column {name!r} that the table lacks; there are: {there}")
        return self.rows[name]

    def _once(self, key: tuple[str, ...], find: Callable[[], Found]) -> Found:
        if key not in self._known:
            self._known[key] = find()
        return self._known[key]  # pyright: ignore[reportReturnType] - a key is used for one type only


def _leaves(column: pa.ChunkedArray) -> Leaves:
    encoded = column.combine_chunks().dictionary_encode()
    codes = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False).astype(np.int64)
    return Leaves(codes, tuple(map(str, encoded.dictionary.to_pylist())))


def _asks_features(config: DedupConfig) -> bool:
    return config.near is not None and (config.near.cells is not None or config.near.cosine > -1)


def _no_features(rows: Int64[np.ndarray, "b"]) -> np.ndarray:
    return np.zeros((len(rows), 0), np.float32)
