"""The same decisions over a table that no machine holds: workers read shards, the driver sees hashes, counts and duplicates.

A shard is read again in each pass, its few columns, rather than kept; so a pass has no state, a worker or node that dies
costs what it was working on, and the result does not depend on who did what. In order:

1. hashes of every row go to the driver's scratch files (24 bytes a row), where close ones are found in bounded memory;
2. the rows that have company are gathered whole, and duplicates among them decided by the very functions of `verdict`;
3. words, 4. rows of each entry of each axis, 5. rows of each leaf, and where a leaf is over its quota, 6. its smallest draws
   are counted by shard and added up, each pass knowing what the earlier ones found; 7. each shard is decided. Digests add up
   to that of the whole (`verdict.digest_of_parts`).

Cells of features need all features in one place and are refused here. Re-reading was chosen over keeping shards in Ray's object
store: a node that dies takes its part of the store along, and rebuilding it is the same work again.

n rows
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float64, Int64, UInt64

from curation import balance, verdict
from curation.balance import Counts, Vocabulary
from curation.dedup.bands import close_pairs, repeated
from curation.dedup.rule import DedupConfig
from curation.draws import mixed, text_hashes
from curation.evidence import Evidence
from curation.shards import Each, Shard
from curation.verdict import Decision, DecisionConfig
from infra.errors import UserError

Found = TypeVar("Found")


class Marks(NamedTuple):
    """Reasons of single rows."""

    rows: Int64[np.ndarray, "m"]
    """Numbers in the whole table, ascending."""
    bits: UInt64[np.ndarray, "m"]


class Plan(NamedTuple):
    """A decision and what the passes so far have found out for it."""

    config: DecisionConfig
    duplicates: Marks | None = None
    vocabulary: Vocabulary | None = None
    counts: Counts | None = None
    quotas: Mapping[str, int] | None = None
    """Quotas of the leaves that are over them."""
    last_draws: Mapping[str, float] | None = None


class Total(NamedTuple):
    """A decision over all shards, in short."""

    digest: str
    counts: Mapping[str, int]
    """Rows by verdict."""


def decide_shards(shards: Sequence[Shard], configs: Sequence[DecisionConfig], *, each: Each, scratch: Path) -> list[Total]:
    """Decide over all shards by each recipe.

    Args:
        each: who calls functions for shards: `shards.in_turn` or `shards.on_ray`.
        scratch: folder for the driver's files, 24 bytes a row and some more while they are sorted.

    Raises:
        UserError: a recipe needs cells of features.
    """
    plans = planned(shards, configs, each=each, scratch=scratch)
    sums: list[list[tuple[int, int]]] = [[] for _ in plans]
    counts: list[Counter[str]] = [Counter() for _ in plans]

    def finish(shard: Shard, first: int) -> list[tuple[tuple[int, int], dict[str, int]]]:
        evidence = _read(shard, plans)
        return [_in_short(evidence, decided(evidence, first, plan)) for plan in plans]

    for found in each(finish, shards):
        for place, (part, verdicts) in enumerate(found):
            sums[place].append(part)
            counts[place].update(verdicts)
    return [Total(verdict.digest_of_parts(part), dict(count)) for part, count in zip(sums, counts, strict=True)]


def planned(shards: Sequence[Shard], configs: Sequence[DecisionConfig], *, each: Each, scratch: Path) -> list[Plan]:
    """All that is needed to decide any shard by itself with `decided`."""
    for config in configs:
        _require_no_cells(config)
    plans = _with_duplicates([Plan(config) for config in configs], shards, each, scratch)
    plans = _with_vocabularies(plans, shards, each)
    plans = _with_counts(plans, shards, each)
    plans = _with_quotas(plans, shards, each)
    return _with_last_draws(plans, shards, each)


def decided(evidence: Evidence, first: int, plan: Plan) -> Decision:
    """The decision for the rows of a shard whose first row has the number `first`."""
    reasons, weight, num_quarantining = _so_far(evidence, first, plan)
    return verdict.concluded(reasons, weight, plan.config, num_quarantining)


def _read(shard: Shard, plans: Sequence[Plan]) -> Evidence:
    columns = dict.fromkeys(name for plan in plans for name in verdict.columns_of(plan.config))
    evidence = Evidence(shard.rows(list(columns)), features=shard.features)
    for plan in plans:
        if plan.vocabulary is not None and plan.config.balance is not None and plan.config.balance.words is not None:
            evidence.words(plan.config.balance.words, plan.vocabulary)
    return evidence


def _so_far(
    evidence: Evidence, first: int, plan: Plan
) -> tuple[UInt64[np.ndarray, "n"], Float64[np.ndarray, "n"], int]:
    """Reasons and weights of a shard's rows by as much of the plan as there is."""
    config = plan.config
    reasons, num_quarantining = verdict.screened(evidence, config)
    weight = np.ones(evidence.num_rows)
    if plan.duplicates is not None:
        start, stop = np.searchsorted(plan.duplicates.rows, [first, first + evidence.num_rows])
        reasons[plan.duplicates.rows[start:stop] - first] |= plan.duplicates.bits[start:stop]
    if config.balance is not None and plan.counts is not None:
        weight = verdict.drawn(reasons, verdict.shares_of(evidence, config.balance, plan.counts), evidence, config)
    if config.quotas is not None and plan.last_draws is not None:
        _, names = evidence.leaves(config.quotas.column)
        last = np.array([plan.last_draws.get(name, np.inf) for name in names], np.float64)
        verdict.cut_to_quotas(reasons, last, evidence, config)
    return reasons, weight, num_quarantining


def _in_short(evidence: Evidence, decision: Decision) -> tuple[tuple[int, int], dict[str, int]]:
    counts = np.bincount(decision.verdict, minlength=len(verdict.VERDICTS)).tolist()
    return verdict.digest_sums(evidence.ids, decision), dict(zip(verdict.VERDICTS, counts, strict=True))


def _with_duplicates(plans: list[Plan], shards: Sequence[Shard], each: Each, scratch: Path) -> list[Plan]:
    """Decide duplicates among the rows that have company, for each setting of duplicates at once."""
    dedups = list(dict.fromkeys(plan.config.dedup for plan in plans if plan.config.dedup is not None))
    if not dedups:
        return plans
    company = np.unique(np.concatenate([_company(one, shards, each, scratch) for one in dedups]))
    columns = list(dict.fromkeys(name for plan in plans for name in verdict.columns_of(plan.config)))
    asks_features = any(one.near is not None and one.near.cosine > -1 for one in dedups)

    def gather(shard: Shard, first: int) -> tuple[pa.Table, np.ndarray]:
        start, stop = np.searchsorted(company, [first, first + shard.num_rows])
        places = company[start:stop] - first
        vectors = shard.features(places) if asks_features else np.zeros((len(places), 0), np.float32)
        return shard.rows(columns).take(pa.array(places)), vectors

    parts = list(each(gather, shards))
    vectors = np.concatenate([vectors for _, vectors in parts])
    evidence = Evidence(pa.concat_tables([rows for rows, _ in parts]), features=vectors.__getitem__)
    return [plan._replace(duplicates=_marks(evidence, company, plan.config)) for plan in plans]


def _marks(evidence: Evidence, company: Int64[np.ndarray, "m"], config: DecisionConfig) -> Marks:
    before, _ = verdict.screened(evidence, config)
    after = before.copy()
    verdict.mark_duplicates(after, evidence, config)
    chosen = after != before
    return Marks(company[chosen], (after ^ before)[chosen])


def _company(config: DedupConfig, shards: Sequence[Shard], each: Each, scratch: Path) -> Int64[np.ndarray, "m"]:
    """Numbers of the rows that share a file with another row or have a near hash with the same words, and a few more."""
    near = config.near
    columns = [config.exact] if near is None else list(dict.fromkeys([config.exact, near.hashes, *near.same]))

    def keys(shard: Shard, first: int) -> np.ndarray:  # noqa: ARG001  passes are called alike
        rows = shard.rows(columns)
        exact = text_hashes(rows[config.exact])       # missing ones share one, which only means that they are gathered
        if near is None:
            return np.stack([exact])
        return np.stack([exact, *_near_keys(rows, near.hashes, near.same)])

    num_rows, num_keys = sum(shard.num_rows for shard in shards), 1 if near is None else 3
    with TemporaryDirectory(prefix="hashes-", dir=scratch) as folder:
        files = [np.memmap(Path(folder, str(key)), np.uint64, "w+", shape=(max(num_rows, 1),)) for key in range(num_keys)]
        start = 0
        for found in each(keys, shards):
            for file, values in zip(files, found, strict=True):
                file[start : start + len(values)] = values
            start += found.shape[1]
        members = [np.flatnonzero(repeated(files[0][:num_rows], budget_bytes=config.memory_bytes, scratch=scratch)[0])]
        if near is not None:
            members.append(_near_company(files[1][:num_rows], files[2][:num_rows], near.bits, config.memory_bytes, scratch))
    return np.unique(np.concatenate(members))


def _near_company(
    hashes: UInt64[np.ndarray, "n"], words: UInt64[np.ndarray, "n"], bits: int, budget_bytes: int, scratch: Path
) -> Int64[np.ndarray, "m"]:
    """Rows with a near hash and the same words. Of rows with the same hash and words one is compared for all."""
    joint = mixed(hashes) ^ mixed(words + np.uint64(1))
    has_company, is_first = repeated(joint, budget_bytes=budget_bytes, scratch=scratch)
    apart = np.flatnonzero(is_first)
    reached = has_company.copy()
    for ours, theirs in close_pairs(hashes[apart], bits, budget_bytes=budget_bytes, scratch=scratch):
        ours, theirs = apart[ours], apart[theirs]
        is_same = words[ours] == words[theirs]
        reached[ours[is_same]] = reached[theirs[is_same]] = True
    return np.flatnonzero(reached)


def _near_keys(rows: pa.Table, hashes: str, same: tuple[str, ...]) -> tuple[UInt64[np.ndarray, "n"], UInt64[np.ndarray, "n"]]:
    """Perceptual hash, 0 where there is none, and a hash of the words: what is gathered needlessly costs little."""
    words = np.zeros(rows.num_rows, np.uint64)
    for name in same:
        words = mixed(words ^ text_hashes(rows[name]))
    return rows[hashes].fill_null(0).to_numpy(), words


def _with_vocabularies(plans: list[Plan], shards: Sequence[Shard], each: Each) -> list[Plan]:
    """Words of every column that is balanced by words, with the rows that have them."""
    axes = {plan.config.balance.words.column for plan in plans if plan.config.balance is not None and plan.config.balance.words}
    if not axes:
        return plans
    ordered = sorted(axes)

    def words(shard: Shard, first: int) -> list[Vocabulary]:  # noqa: ARG001  passes are called alike
        rows = shard.rows(ordered)
        return [balance.vocabulary_of(balance.tokens_of(rows[name])) for name in ordered]

    merged: list[Vocabulary] | None = None
    for found in each(words, shards):
        merged = found if merged is None else [balance.merged([ours, more]) for ours, more in zip(merged, found, strict=True)]
    assert merged is not None
    known = dict(zip(ordered, merged, strict=True))
    return [_with_vocabulary(plan, known) for plan in plans]


def _with_vocabulary(plan: Plan, known: Mapping[str, Vocabulary]) -> Plan:
    axis = plan.config.balance.words if plan.config.balance is not None else None
    return plan if axis is None else plan._replace(vocabulary=balance.frequent(known[axis.column], axis.min_rows))


def _with_counts(plans: list[Plan], shards: Sequence[Shard], each: Each) -> list[Plan]:
    """Rows of each entry that are alive when balance begins."""

    def count(evidence: Evidence, alive: Bool[np.ndarray, "n"], plan: Plan) -> Counts | None:
        return None if plan.config.balance is None else verdict.counts_of(evidence, plan.config.balance, alive)

    found = _added_up(plans, shards, each, count)
    return [plan._replace(counts=one) for plan, one in zip(plans, found, strict=True)]


def _with_quotas(plans: list[Plan], shards: Sequence[Shard], each: Each) -> list[Plan]:
    """Quotas of those leaves that are over them."""

    def count(evidence: Evidence, alive: Bool[np.ndarray, "n"], plan: Plan) -> Counter[str] | None:
        if plan.config.quotas is None:
            return None
        codes, names = evidence.leaves(plan.config.quotas.column)
        return Counter(dict(zip(names, np.bincount(codes[alive & (codes >= 0)], minlength=len(names)).tolist(), strict=True)))

    found = _added_up(plans, shards, each, count)
    return [plan._replace(quotas=_exceeded(plan, one)) for plan, one in zip(plans, found, strict=True)]


def _exceeded(plan: Plan, counts: Counter[str] | None) -> dict[str, int] | None:
    if plan.config.quotas is None or counts is None:
        return None
    quotas, otherwise = dict(plan.config.quotas.rows), plan.config.quotas.otherwise
    own = {name: quotas.get(name, otherwise) for name in counts}
    return {name: quota for name, quota in own.items() if quota is not None and counts[name] > quota}


def _with_last_draws(plans: list[Plan], shards: Sequence[Shard], each: Each) -> list[Plan]:
    """The largest draw that stays, for each leaf that is over its quota."""

    def smallest(evidence: Evidence, alive: Bool[np.ndarray, "n"], plan: Plan) -> _Draws | None:
        if plan.config.quotas is None or not plan.quotas:
            return None
        codes, names = evidence.leaves(plan.config.quotas.column)
        quotas = np.array([plan.quotas.get(name, -1) for name in names], np.int64)
        draws = balance.smallest_draws(codes, alive, quotas, evidence.draws("quota", plan.config.seed))
        return _Draws({name: own for name, own in zip(names, draws, strict=True) if len(own)}, plan.quotas)

    found = _added_up(plans, shards, each, smallest)
    last = [None if plan.quotas is None else _last(plan.quotas, one) for plan, one in zip(plans, found, strict=True)]
    return [plan._replace(last_draws=one) for plan, one in zip(plans, last, strict=True)]


class _Draws(NamedTuple):
    """The smallest draws of each leaf, as many as its quota at most."""

    leaves: Mapping[str, Float64[np.ndarray, "_"]]
    quotas: Mapping[str, int]

    def __add__(self, other: "_Draws") -> "_Draws":  # pyright: ignore[reportIncompatibleMethodOverride] - draws, not tuples
        """Those of both parts together."""
        names = dict.fromkeys([*self.leaves, *other.leaves])
        none = np.empty(0)
        both = {name: np.concatenate([self.leaves.get(name, none), other.leaves.get(name, none)]) for name in names}
        return _Draws({name: np.sort(draws)[: self.quotas[name]] for name, draws in both.items()}, self.quotas)


def _last(quotas: Mapping[str, int], draws: _Draws | None) -> dict[str, float]:
    known = {} if draws is None else draws.leaves
    return {name: float(known[name][-1]) if name in known else -1.0 for name in quotas}


def _added_up(
    plans: Sequence[Plan], shards: Sequence[Shard], each: Each,
    count: Callable[[Evidence, Bool[np.ndarray, "n"], Plan], Found | None],
) -> list[Found | None]:  # fmt: skip
    """For each plan the sum over shards of what `count` gives for the rows that are alive so far; None where it gives nothing."""

    def work(shard: Shard, first: int) -> list[Found | None]:
        evidence = _read(shard, plans)
        return [count(evidence, _so_far(evidence, first, plan)[0] == 0, plan) for plan in plans]

    if all(plan.config.balance is None and plan.config.quotas is None for plan in plans):
        return [None for _ in plans]
    total: list[Found | None] = [None for _ in plans]
    for found in each(work, shards):
        total = [_sum(ours, more) for ours, more in zip(total, found, strict=True)]
    return total


def _sum(ours: Found | None, more: Found | None) -> Found | None:
    if ours is None or more is None:
        return more if ours is None else ours
    return ours + more  # pyright: ignore[reportOperatorIssue] - counts of any kind add up


def _require_no_cells(config: DecisionConfig) -> None:
    by_cells = config.dedup is not None and config.dedup.near is not None and config.dedup.near.cells is not None
    if by_cells or (config.balance is not None and config.balance.cells is not None):
        raise UserError(
            "cells of features need all features in one place, and this decision is made shard by shard; "
            "set dedup.near.cells and balance.cells to null, or decide on one machine"
        )
