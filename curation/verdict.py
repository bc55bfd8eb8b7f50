"""Which rows are kept, and for each other row every reason why not.

A decision is a recipe: predicates over measured columns, duplicates, balance, quotas and a seed. It reads columns only, so it
can be repeated with other settings in a fraction of a second, and it is a pure function: the same rows and recipe give the
same verdicts in any order of rows. Every row ends in exactly one of kept, dropped and quarantined. The stages follow each
other:

1. rows whose measuring failed, or that lack a value that a predicate needs, are quarantined;
2. all predicates are asked of all others, so a row is dropped for every reason that applies;
3. of duplicates among the rows that pass, the best stays: a row that is dropped shadows nobody;
4. what there is too much of is thinned; 5. leaves are cut to their quotas.

n rows
"""

# pyarrow.compute makes its functions at import, where the checker cannot see them.
# pyright: reportAttributeAccessIssue=false

from collections import Counter
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Float32, Float64, Int8, Int64, UInt64
from pydantic import BaseModel, model_validator

from curation import balance, predicates
from curation.balance import BalanceConfig, Counts, QuotaConfig
from curation.dedup import rule
from curation.dedup.rule import DedupConfig
from curation.draws import mixed
from curation.evidence import Evidence
from curation.predicates import Predicate
from infra.storage import canonical_json

KEPT, DROPPED, QUARANTINED = 0, 1, 2
VERDICTS: tuple[str, ...] = ("kept", "dropped", "quarantined")
"""What the numbers in `Decision.verdict` stand for."""

UNMEASURED = "unmeasured"
DUPLICATES = ("duplicate_exact", "duplicate_near")
OVER_REPRESENTED = "over_represented"
OVER_QUOTA = "over_quota"


class Failed(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """A row for which a signal failed is quarantined, by the class of its error."""

    columns: tuple[str, ...]
    """Columns of errors, null where there was none; the class is the text before the first colon."""
    reasons: tuple[str, ...]
    """Classes that are reasons themselves."""
    otherwise: str
    """The reason for an error of any other class."""


class DecisionConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """A recipe for deciding."""

    leaf: str
    """Column that tells the leaf of a row, for limits by leaf and for counting."""
    quarantine: Failed
    """How rows are told that could not be measured."""
    drop: tuple[Predicate, ...]
    """What a row must be; a setting is reached by its reason, for example ``drop.blurred.limit``."""
    dedup: DedupConfig | None
    """Which rows count as one; None to keep duplicates."""
    features: str
    """Column of the vectors that duplicates and cells of balance are compared by: of numbers, or ``thumbnail``."""
    balance: BalanceConfig | None
    """What is thinned; None for nothing."""
    quotas: QuotaConfig | None
    """Most rows of each leaf; None for any number."""
    seed: int
    """Key of all draws."""

    @model_validator(mode="after")
    def _reasons_are_told_apart(self) -> "DecisionConfig":
        twice = [reason for reason, times in Counter(one.reason for one in self.drop).items() if times > 1]
        if twice:
            raise ValueError(f"two predicates share the reason {twice[0]!r}; name them apart")
        if len(reasons_of(self)) > 64:
            raise ValueError(f"{len(reasons_of(self))} reasons; a decision has room for 64")
        return self


class Decision(NamedTuple):
    """The outcome for each row."""

    verdict: Int8[np.ndarray, "n"]
    """KEPT, DROPPED or QUARANTINED."""
    reasons: UInt64[np.ndarray, "n"]
    """Bit i is set when the row goes for `names[i]`; 0 when it is kept."""
    weight: Float32[np.ndarray, "n"]
    """How often the row is drawn relative to others; 0 when it is not kept."""
    names: tuple[str, ...]
    """Reasons in the order in which they are applied."""

    @property
    def is_kept(self) -> Bool[np.ndarray, "n"]:
        """Rows that stay."""
        return self.verdict == KEPT

    @property
    def first_reason(self) -> Int64[np.ndarray, "n"]:
        """Place in `names` of the first reason of each row, -1 when it is kept."""
        lowest = self.reasons & (~self.reasons + np.uint64(1))
        return np.bitwise_count(lowest - np.uint64(1)).astype(np.int64) * (lowest > 0) - (lowest == 0)


def reasons_of(config: DecisionConfig) -> tuple[str, ...]:
    """All reasons that a decision may give, in the order in which they are applied."""
    names = [*config.quarantine.reasons, config.quarantine.otherwise]
    names += [UNMEASURED, *(one.reason for one in config.drop)]
    if config.dedup is not None:
        names += DUPLICATES if config.dedup.near is not None else DUPLICATES[:1]
    if config.balance is not None and config.balance.gives == "draws":
        names.append(OVER_REPRESENTED)
    if config.quotas is not None:
        names.append(OVER_QUOTA)
    return tuple(dict.fromkeys(names))


def columns_of(config: DecisionConfig) -> tuple[str, ...]:
    """Columns that a decision reads, features aside."""
    names = ["id", config.leaf, *config.quarantine.columns]
    names += [name for one in config.drop for name in predicates.columns_of(one)]
    names += rule.columns_of(config.dedup) if config.dedup is not None else ()
    if config.balance is not None:
        names += [axis.column for axis in (config.balance.leaves, config.balance.words) if axis is not None]
    if config.quotas is not None:
        names.append(config.quotas.column)
    return tuple(dict.fromkeys(names))


def decide(evidence: Evidence, config: DecisionConfig) -> Decision:
    """The verdict of each row of the evidence; counts add up.

    Raises:
        UserError: the recipe reads a column that the rows lack.
    """
    reasons, num_quarantining = screened(evidence, config)
    mark_duplicates(reasons, evidence, config)
    weight = np.ones(evidence.num_rows)
    if config.balance is not None:
        weight = shares_of(evidence, config.balance, counts_of(evidence, config.balance, reasons == 0))
        weight = drawn(reasons, weight, evidence, config)
    if config.quotas is not None:
        codes, quotas = quotas_of(evidence, config.quotas)
        quotas = balance.exceeded(codes, reasons == 0, quotas)
        smallest = balance.smallest_draws(codes, reasons == 0, quotas, evidence.draws("quota", config.seed))
        cut_to_quotas(reasons, balance.last_draws(smallest, quotas), evidence, config)
    return concluded(reasons, weight, config, num_quarantining)


def screened(evidence: Evidence, config: DecisionConfig) -> tuple[UInt64[np.ndarray, "n"], int]:
    """Reasons that rows give on their own, and how many of the first reasons quarantine."""
    reasons = np.zeros(evidence.num_rows, np.uint64)
    for name in config.quarantine.columns:
        for reason, rows in _failures(evidence.column(name), config.quarantine):
            reasons[rows] |= bit(config, reason)
    is_out = reasons > 0
    for predicate in config.drop:
        answer = evidence.answer(predicate, config.leaf)
        reasons[answer.unknown & ~is_out] |= bit(config, UNMEASURED)
        reasons[answer.fails & ~is_out] |= bit(config, predicate.reason)
    num_quarantining = reasons_of(config).index(UNMEASURED) + 1
    is_unmeasured = (reasons & bit(config, UNMEASURED)) > 0
    reasons[is_unmeasured] &= np.uint64((1 << num_quarantining) - 1)      # what cannot be judged is not judged by halves
    return reasons, num_quarantining


def mark_duplicates(reasons: UInt64[np.ndarray, "n"], evidence: Evidence, config: DecisionConfig) -> None:
    """Mark in `reasons`, the caller's own, the rows without a reason so far that duplicate a preferred one of those."""
    if config.dedup is None:
        return
    found = evidence.clusters(config.dedup)
    for reason, groups in zip(DUPLICATES, (found.exact, found.near), strict=True):
        losers = groups.losers(reasons == 0)
        if len(losers):
            reasons[losers] |= bit(config, reason)


def counts_of(evidence: Evidence, config: BalanceConfig, alive: Bool[np.ndarray, "n"]) -> Counts:
    """Rows that are alive, by entry of each axis."""
    leaves, words, cells = {}, np.empty(0, np.int64), ()
    if config.leaves is not None:
        codes, names = evidence.leaves(config.leaves.column)
        leaves = dict(zip(names, np.bincount(codes[alive & (codes >= 0)], minlength=len(names)).tolist(), strict=True))
    if config.words is not None:
        words = balance.word_counts(evidence.words(config.words), alive)
    if config.cells is not None:
        sizes = np.cumprod(config.cells.branching).tolist()
        levels = zip(evidence.cells(config.cells), sizes, strict=True)
        cells = tuple(np.bincount(codes[alive], minlength=size) for codes, size in levels)
    return Counts(leaves, words, cells)


def shares_of(evidence: Evidence, config: BalanceConfig, counts: Counts) -> Float64[np.ndarray, "n"]:
    """Probability of each row on all axes together."""
    shares = np.ones(evidence.num_rows)
    if config.leaves is not None:
        codes, names = evidence.leaves(config.leaves.column)
        own = np.array([counts.leaves.get(name, 0) for name in names], np.int64)
        shares = np.minimum(shares, balance.by_code(codes, own, config.leaves.threshold))
    if config.words is not None:
        shares = np.minimum(shares, balance.by_words(evidence.words(config.words), counts.words, config.words.threshold))
    if config.cells is not None:
        levels = zip(evidence.cells(config.cells), counts.cells, config.cells.thresholds, strict=True)
        for codes, own, threshold in levels:
            shares = np.minimum(shares, balance.by_code(codes, own, threshold))
    return shares


def drawn(
    reasons: UInt64[np.ndarray, "n"], shares: Float64[np.ndarray, "n"], evidence: Evidence, config: DecisionConfig
) -> Float64[np.ndarray, "n"]:
    """Weights of the rows; where rows are drawn, the losers are marked in `reasons`, the caller's own."""
    assert config.balance is not None
    if config.balance.gives == "weights":
        return shares
    is_lost = (reasons == 0) & (evidence.draws("balance", config.seed) >= shares)
    reasons[is_lost] |= bit(config, OVER_REPRESENTED)
    return np.ones(len(shares))


def quotas_of(evidence: Evidence, config: QuotaConfig) -> tuple[Int64[np.ndarray, "n"], Int64[np.ndarray, "c"]]:
    """The leaf of each row and the quota of each leaf, negative for none."""
    codes, names = evidence.leaves(config.column)
    quotas, otherwise = dict(config.rows), -1 if config.otherwise is None else config.otherwise
    return codes, np.array([quotas.get(name, otherwise) for name in names], np.int64)


def cut_to_quotas(
    reasons: UInt64[np.ndarray, "n"], last_draws: Float64[np.ndarray, "c"], evidence: Evidence, config: DecisionConfig
) -> None:
    """Mark in `reasons`, the caller's own, the rows whose draw is beyond the last that stays in their leaf."""
    assert config.quotas is not None
    codes, _ = evidence.leaves(config.quotas.column)
    is_lost = (reasons == 0) & (evidence.draws("quota", config.seed) > np.append(last_draws, np.inf)[codes])
    reasons[is_lost] |= bit(config, OVER_QUOTA)


def concluded(
    reasons: UInt64[np.ndarray, "n"], weight: Float64[np.ndarray, "n"], config: DecisionConfig, num_quarantining: int
) -> Decision:
    """The decision that the reasons amount to; asserts that the counts add up."""
    is_quarantined = (reasons & np.uint64((1 << num_quarantining) - 1)) > 0
    verdict = np.where(is_quarantined, QUARANTINED, np.where(reasons > 0, DROPPED, KEPT)).astype(np.int8)
    weights = np.where(verdict == KEPT, weight, 0).astype(np.float32)
    decision = Decision(verdict, reasons, weights, reasons_of(config))
    counts = np.bincount(verdict, minlength=len(VERDICTS))
    firsts = np.bincount(decision.first_reason + 1, minlength=len(decision.names) + 1)
    assert counts.sum() == len(reasons), (counts, len(reasons))
    assert firsts[0] == counts[KEPT], (firsts, counts)
    assert firsts[1 : num_quarantining + 1].sum() == counts[QUARANTINED], (firsts, counts)
    return decision


def bit(config: DecisionConfig, reason: str) -> np.uint64:
    """The bit of a reason in `Decision.reasons`."""
    return np.uint64(1 << reasons_of(config).index(reason))


def digest(ids: UInt64[np.ndarray, "n"], decision: Decision) -> str:
    """Names what was decided: 128 bits that depend on the rows' ids, reasons and weights, not on the order of the rows.

    Digests of the parts of a table add up to that of the whole (`digest_of_parts`).
    """
    return digest_of_parts([digest_sums(ids, decision)])


def digest_sums(ids: UInt64[np.ndarray, "n"], decision: Decision) -> tuple[int, int]:
    """The two 64-bit sums that digests are made of."""
    weights = decision.weight.view(np.uint32).astype(np.uint64) + np.uint64(2**40)
    line = mixed(ids) ^ mixed(decision.reasons + np.uint64(1)) ^ mixed(weights)
    return int(mixed(line).sum(dtype=np.uint64)), int(mixed(line ^ np.uint64(2**63 - 25)).sum(dtype=np.uint64))


def digest_of_parts(parts: list[tuple[int, int]]) -> str:
    """The digest of all parts together, 32 hexadecimal digits."""
    return "".join(f"{sum(part[lane] for part in parts) % 2**64:016x}" for lane in (0, 1))


def _failures(errors: pa.ChunkedArray, rule: Failed) -> list[tuple[str, Int64[np.ndarray, "_"]]]:
    """Rows with an error, by reason."""
    rows = np.flatnonzero(pc.is_valid(errors).to_numpy())
    classes = pc.list_element(pc.split_pattern(errors.take(pa.array(rows)), ":", max_splits=1), 0)
    is_known = pc.is_in(classes, pa.array(list(rule.reasons), pa.string())).to_numpy()
    named = [(reason, rows[pc.equal(classes, reason).to_numpy()]) for reason in rule.reasons]
    return [*named, (rule.otherwise, rows[~is_known])]


def decision_table(evidence: Evidence, config: DecisionConfig, decision: Decision) -> pa.Table:
    """The decision as it is stored, a line a row: id, verdict, reasons as bits, weight, cluster; the recipe in the metadata."""
    clusters = evidence.ids if config.dedup is None else evidence.clusters(config.dedup).names
    columns = {
        "id": evidence.column("id"),
        "verdict": pa.DictionaryArray.from_arrays(pa.array(decision.verdict), pa.array(VERDICTS)).cast(pa.string()),
        "reasons": pa.array(decision.reasons),
        "weight": pa.array(decision.weight),
        "cluster": pa.array(clusters),
    }
    about = {
        "seedbed.recipe": canonical_json(config),
        "seedbed.reasons": " ".join(decision.names),
        "seedbed.digest": digest(evidence.ids, decision),
    }
    return pa.table(columns).replace_schema_metadata(about)
