"""Clusters of rows that count as one, found once for a table and used by every decision over it.

Proposals are confirmed pair by pair and joined by union-find; each component is then divided among leaders: the best row
takes all rows that it confirms itself, the best of the rest does the same, and so on. So every row of a cluster duplicates
the leader, and none is lost through a chain of small steps (chains swallow whole collections where there are billions of
rows).

A cluster is named by the hash of its leader's id. When rows are added, earlier clusters keep their names and members: the new
rows are compared with the earlier leaders and with each other, join the best leader that confirms them, or found clusters of
their own.

n rows · m members of clusters · p pairs
"""

# pyarrow.compute makes its functions at import, where the checker cannot see them.
# pyright: reportAttributeAccessIssue=false

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Int64, UInt64

from curation.dedup.bands import Pairs, close_pairs
from curation.dedup.cells import FeatureLookup, block_rows, capped_cells, cosines, rounded
from curation.dedup.rule import DedupConfig, NearConfig
from curation.dedup.unions import Unions
from curation.draws import text_hashes

CROWD = 512
"""Pictures of one hash that are still compared all with all; more are compared inside cells of features."""
_CROWD_PROBES = 2


class Groups(NamedTuple):
    """Rows that have company, those of one group together and the preferred first."""

    rows: Int64[np.ndarray, "m"]
    groups: Int64[np.ndarray, "m"]

    def losers(self, alive: Bool[np.ndarray, "n"]) -> Int64[np.ndarray, "b"]:
        """The rows that are alive while a preferred one of their group is."""
        present = np.flatnonzero(alive[self.rows])
        groups = self.groups[present]
        return self.rows[present[1:][groups[1:] == groups[:-1]]]


class Clusters(NamedTuple):
    """All that decisions need to know of duplicates."""

    exact: Groups
    near: Groups
    names: UInt64[np.ndarray, "n"]
    """Name of each row's near cluster; the hash of the row's own id when it is alone."""


class _Comparison(NamedTuple):
    """What pairs of rows are confirmed by."""

    near: NearConfig
    hashes: UInt64[np.ndarray, "n"]
    words: Int64[np.ndarray, "n"]
    features: FeatureLookup
    width: int

    def confirms(self, ours: Int64[np.ndarray, "p"], theirs: Int64[np.ndarray, "p"]) -> Bool[np.ndarray, "p"]:
        """Whether the two rows of each pair are near-duplicates."""
        bits = np.bitwise_count(self.hashes[ours] ^ self.hashes[theirs])
        by_hash, cells = bits <= self.near.bits, self.near.cells
        by_cell = np.zeros_like(by_hash) if cells is None else bits <= cells.bits
        asked = np.flatnonzero((self.words[ours] == self.words[theirs]) & (by_hash | by_cell))
        alike = np.ones(len(asked))
        if cells is not None or self.near.cosine > -1:
            alike = cosines(ours[asked], theirs[asked], self.features, width=self.width)
        holds = by_hash[asked] & (alike >= self.near.cosine)
        if cells is not None:
            holds |= by_cell[asked] & (alike >= cells.cosine)
        found = np.zeros(len(bits), bool)
        found[asked[holds]] = True
        return found


def clusters(
    rows: pa.Table, ids: UInt64[np.ndarray, "n"], config: DedupConfig, features: FeatureLookup, *,
    earlier: UInt64[np.ndarray, "n"] | None = None,
) -> Clusters:  # fmt: skip
    """Exact groups and near clusters of a table with the columns `rule.columns_of` names and ``id``.

    Args:
        ids: `text_hashes` of the ids.
        features: by number of the row; zeros for a row without.
        earlier: the row's `Clusters.names` in an earlier result, 0 for rows that were not there.
    """
    before = np.zeros(len(ids), np.uint64) if earlier is None else earlier
    names = np.where(before > 0, before, ids)
    codes, grouped = _exact_codes(rows[config.exact])
    exact = _by_preference(rows, config.prefer, grouped, codes[grouped])
    if config.near is None:
        return Clusters(exact, Groups(np.empty(0, np.int64), np.empty(0, np.int64)), names)
    words = _combined(rows, config.near.same)
    is_compared = _is_compared(rows, config.near)
    stand_in = _stand_ins(exact, words, is_compared=is_compared, before=before)
    is_compared &= (stand_in == np.arange(len(ids))) & ((before == 0) | (before == ids))
    compared = np.flatnonzero(is_compared)
    hashes = pc.fill_null(rows[config.near.hashes], pa.scalar(0, pa.uint64())).to_numpy()
    width = features(compared[:1]).shape[1] if len(compared) and _asks_features(config.near) else 0
    comparison = _Comparison(config.near, hashes, words, features, width)
    leader = _leaders(rows, ids, compared, comparison, config=config, before=before)
    names = np.where(before > 0, before, names[leader][stand_in])
    members = _with_company(names, ids)
    return Clusters(exact, _by_preference(rows, config.prefer, members, names[members].view(np.int64)), names)


def _leaders(
    rows: pa.Table, ids: UInt64[np.ndarray, "n"], compared: Int64[np.ndarray, "c"], comparison: _Comparison, *,
    config: DedupConfig, before: UInt64[np.ndarray, "n"],
) -> Int64[np.ndarray, "n"]:  # fmt: skip
    """The leader of every row's cluster, the row itself when it is alone."""
    unions, involved = Unions(len(compared)), [np.empty(0, np.int64)]
    place = np.full(len(ids), -1, np.int64)
    place[compared] = np.arange(len(compared))
    for ours, theirs in _proposed(ids, compared, comparison, config):
        is_news = (before[ours] == 0) | (before[theirs] == 0)
        ours, theirs = ours[is_news], theirs[is_news]
        holds = comparison.confirms(ours, theirs)
        unions.join(place[ours[holds]], place[theirs[holds]])
        involved.append(np.unique(np.concatenate([ours[holds], theirs[holds]])))
    members = np.unique(np.concatenate(involved))
    ranks = _ranks(rows, config.prefer, members, is_last=before[members] == 0)
    return _led(members, unions.roots(place[members]), ranks, comparison, is_founder=before > 0)


def _led(
    members: Int64[np.ndarray, "m"], parts: Int64[np.ndarray, "m"], ranks: Int64[np.ndarray, "n"], comparison: _Comparison, *,
    is_founder: Bool[np.ndarray, "n"],
) -> Int64[np.ndarray, "n"]:  # fmt: skip
    """Divide each part among leaders, the best first; an earlier leader is not taken by another."""
    leader = np.arange(len(ranks))
    order = np.lexsort((ranks[members], parts))
    rest, parts = members[order], parts[order]
    while len(rest):
        is_first = np.append(True, parts[1:] != parts[:-1])
        heads = rest[is_first][np.cumsum(is_first) - 1]
        taken = is_first.copy()
        asked = np.flatnonzero(~is_first & ~is_founder[rest])
        taken[asked[comparison.confirms(heads[asked], rest[asked])]] = True
        leader[rest[taken]] = heads[taken]
        rest, parts = rest[~taken], parts[~taken]
    return leader


def _proposed(
    ids: UInt64[np.ndarray, "n"], compared: Int64[np.ndarray, "c"], comparison: _Comparison, config: DedupConfig
) -> Iterator[Pairs]:
    """Pairs of compared rows that may be near-duplicates."""
    near, hashes = comparison.near, comparison.hashes
    crowded, singled = _crowds(hashes[compared], comparison.words[compared])
    apart = compared[singled]
    for ours, theirs in close_pairs(hashes[apart], near.bits, budget_bytes=config.memory_bytes):
        ours, theirs = apart[ours], apart[theirs]
        is_same = comparison.words[ours] == comparison.words[theirs]
        yield Pairs(ours[is_same], theirs[is_same])
    for crowd in crowded:
        yield from _within_crowd(compared[crowd], ids, comparison)
    if near.cells is not None:
        cells = capped_cells(
            compared, ids[compared], comparison.features, cap=near.cells.rows, probes=near.cells.probes, seed=near.cells.seed
        )
        for cell in cells:
            yield from _alike(cell, comparison, min_cosine=near.cells.cosine)


def _within_crowd(crowd: Int64[np.ndarray, "c"], ids: UInt64[np.ndarray, "n"], comparison: _Comparison) -> Iterator[Pairs]:
    """Pairs among rows of one hash: the first with all others, and all with all inside cells of features."""
    yield Pairs(np.repeat(crowd[:1], len(crowd) - 1), crowd[1:])
    if comparison.near.cosine > -1:
        for cell in capped_cells(crowd, ids[crowd], comparison.features, cap=CROWD, probes=_CROWD_PROBES, seed=0):
            yield from _alike(cell, comparison, min_cosine=comparison.near.cosine)


def _alike(cell: Int64[np.ndarray, "c"], comparison: _Comparison, *, min_cosine: float) -> Iterator[Pairs]:
    """Pairs of a cell with similar features; tiles bound the memory."""
    step = min(block_rows(comparison.width), 1024)
    tiles = [cell[start : start + step] for start in range(0, len(cell), step)]
    vectors = [rounded(comparison.features(tile)) for tile in tiles]
    norms = [np.sqrt(np.einsum("nd,nd->n", each, each, dtype=np.float64)).astype(np.float32) for each in vectors]
    for first, tile in enumerate(tiles):
        for second in range(first, len(tiles)):
            bound = np.float32(min_cosine - 1e-5) * norms[first][:, None] * norms[second][None, :]
            ours, theirs = np.nonzero(vectors[first] @ vectors[second].T >= bound)
            ours, theirs = tile[ours], tiles[second][theirs]
            is_once = ours < theirs if first == second else ours != theirs
            yield Pairs(ours[is_once], theirs[is_once])


def _crowds(hashes: UInt64[np.ndarray, "c"], words: Int64[np.ndarray, "c"]) -> tuple[list[np.ndarray], np.ndarray]:
    """Positions of each crowd of equal hashes and words, and all positions outside crowds with the first of each crowd."""
    order = np.lexsort((words, hashes))
    is_new = (np.diff(hashes[order]) != 0) | (np.diff(words[order]) != 0)
    runs = np.flatnonzero(np.append(True, is_new)) if len(order) else np.empty(0, np.int64)
    sizes = np.diff(np.append(runs, len(order)))
    crowded = [np.sort(order[run : run + size]) for run, size in zip(runs[sizes > CROWD], sizes[sizes > CROWD], strict=True)]
    is_apart = np.ones(len(order), bool)
    for crowd in crowded:
        is_apart[crowd[1:]] = False
    return crowded, np.flatnonzero(is_apart)


def _exact_codes(column: pa.ChunkedArray) -> tuple[Int64[np.ndarray, "n"], Int64[np.ndarray, "b"]]:
    """A number for each value that several rows have, and those rows; 64 bits tell candidates, the texts decide."""
    short = text_hashes(column)
    is_valid = pc.is_valid(column).to_numpy()
    order = np.argsort(short, kind="stable")
    is_equal = np.diff(short[order]) == 0
    has_company = np.zeros(len(short), bool)
    has_company[order] = np.append(False, is_equal) | np.append(is_equal, False) if len(order) else False
    candidates = np.flatnonzero(has_company & is_valid)
    texts = column.take(pa.array(candidates)).combine_chunks().dictionary_encode()
    codes = np.full(len(short), -1, np.int64)
    codes[candidates] = np.asarray(texts.indices, np.int64)
    counts = np.bincount(codes[candidates]) if len(candidates) else np.empty(0, np.int64)
    return codes, candidates[counts[codes[candidates]] > 1]


def _stand_ins(
    exact: Groups, words: Int64[np.ndarray, "n"], *, is_compared: Bool[np.ndarray, "n"], before: UInt64[np.ndarray, "n"]
) -> Int64[np.ndarray, "n"]:
    """For each row, the row with the same file and words for which alone near-duplicates are sought; an earlier one if any."""
    stand_in = np.arange(len(words))
    inside = is_compared[exact.rows]
    rows, groups = exact.rows[inside], exact.groups[inside]
    order = np.lexsort((np.arange(len(rows)), before[rows] == 0, words[rows], groups))
    rows, groups = rows[order], groups[order]
    is_first = np.append(True, (np.diff(groups) != 0) | (np.diff(words[rows]) != 0))[: len(rows)]
    stand_in[rows] = rows[is_first][np.cumsum(is_first) - 1]
    return stand_in


def _is_compared(rows: pa.Table, near: NearConfig) -> Bool[np.ndarray, "n"]:
    is_compared = pc.is_valid(rows[near.hashes]).to_numpy()
    if near.parents is None:
        return is_compared
    return is_compared & (pc.fill_null(pc.list_value_length(rows[near.parents]), 0).to_numpy() == 0)


def _combined(rows: pa.Table, columns: tuple[str, ...]) -> Int64[np.ndarray, "n"]:
    """A number for each combination of the columns' values."""
    codes, num_codes = np.zeros(rows.num_rows, np.int64), 1
    for name in columns:
        encoded = rows[name].combine_chunks().dictionary_encode(null_encoding="encode")
        num_codes *= max(1, len(encoded.dictionary))
        codes = codes * max(1, len(encoded.dictionary)) + np.asarray(encoded.indices, np.int64)
        if num_codes > 2**31:
            present, codes = np.unique(codes, return_inverse=True)
            num_codes = len(present)
    return codes


def _by_preference(
    rows: pa.Table, prefer: tuple[str, ...], members: Int64[np.ndarray, "m"], groups: Int64[np.ndarray, "m"]
) -> Groups:
    ranks = _ranks(rows, prefer, members, is_last=np.zeros(len(members), bool))
    order = np.lexsort((ranks[members], groups))
    return Groups(members[order], groups[order])


def _ranks(
    rows: pa.Table, prefer: tuple[str, ...], among: Int64[np.ndarray, "b"], *, is_last: Bool[np.ndarray, "b"]
) -> Int64[np.ndarray, "n"]:
    """Place of each row of `among` by preference, 0 for the best; a missing score comes after any, ties go by id."""
    places = np.zeros(rows.num_rows, np.int64)
    if not len(among):
        return places
    chosen = rows.select(list(dict.fromkeys(["id", *prefer]))).take(pa.array(among))
    by_id = np.asarray(pc.rank(chosen["id"].combine_chunks(), tiebreaker="first"), np.int64)
    scores = [-pc.fill_null(pc.cast(chosen[name], pa.float64()), -np.inf).to_numpy() for name in reversed(prefer)]
    places[among[np.lexsort((by_id, *scores, is_last))]] = np.arange(len(among))
    return places


def _with_company(names: UInt64[np.ndarray, "n"], ids: UInt64[np.ndarray, "n"]) -> Int64[np.ndarray, "m"]:
    """Rows of clusters with more than one member."""
    followers = np.flatnonzero(names != ids)
    return np.flatnonzero((names != ids) | np.isin(ids, names[followers]))


def _asks_features(near: NearConfig) -> bool:
    return near.cells is not None or near.cosine > -1
