"""What several decisions over the same rows have in common and where they part.

Of each decision only counts and one bit a row are kept, so a hundred over 10^7 rows fit into memory; a decision that is wanted
whole is made again.

n rows · v variants
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from jaxtyping import Float64, Int64, UInt8, UInt64

from curation import funnel
from curation.dedup.rule import DedupConfig
from curation.evidence import Evidence
from curation.verdict import Decision, DecisionConfig, digest

NUM_EXAMPLES = 6
"""Ids named of the rows that entered or left."""


class Summary(NamedTuple):
    """One decision in short."""

    digest: str
    """`verdict.digest` of the decision."""
    counts: Mapping[str, int]
    """The last line of the funnel: rows, verdicts, first reasons."""
    kept_by_leaf: Mapping[str, int]
    """Rows kept, by leaf; all leaves of the table."""
    effective_leaves: float
    """exp of the entropy of the kept rows' leaves: as many equally filled ones would be as diverse."""
    effective_clusters: float
    """exp of the entropy of the kept rows' near clusters by a common yardstick; as many as rows when none resembles another."""
    kept_bits: UInt8[np.ndarray, "_"]
    """Whether each row is kept, eight rows a byte."""


class Difference(NamedTuple):
    """How a decision differs from the first."""

    entered: int
    """Rows that only this one keeps."""
    left: int
    """Rows that only the first keeps."""
    entered_ids: tuple[str, ...]
    left_ids: tuple[str, ...]


def summarised(evidence: Evidence, config: DecisionConfig, decision: Decision, *, yardstick: DedupConfig | None) -> Summary:
    """The decision in short.

    Args:
        yardstick: what counts as resembling when diversity is measured, the same for all that are compared.
    """
    codes, names = evidence.leaves(config.leaf)
    kept = decision.is_kept
    by_leaf = np.bincount(codes[kept & (codes >= 0)], minlength=len(names))
    table = funnel.count(pa.chunked_array([pa.nulls(evidence.num_rows, pa.string())]), decision)
    (*_, total) = table.drop_columns(["category", *funnel.BY_REASON]).to_pylist()
    return Summary(
        digest(evidence.ids, decision), total, dict(zip(names, by_leaf.tolist(), strict=True)), effective_number(by_leaf),
        effective_number(np.bincount(evidence.cluster_codes(yardstick)[kept])), np.packbits(kept),
    )  # fmt: skip


def effective_number(counts: Int64[np.ndarray, "c"]) -> float:
    """Exponential of Shannon's entropy of the shares (Hill's number of order 1, Hill 1973); 0 for no rows at all."""
    shares = counts[counts > 0] / max(counts.sum(), 1)
    return float(np.exp(-(shares * np.log(shares)).sum())) if len(shares) else 0.0


def overlaps(summaries: Sequence[Summary]) -> Float64[np.ndarray, "v v"]:
    """Jaccard index of the kept rows of each two decisions, |A ∩ B| / |A ∪ B|; 1 where both keep nothing."""
    bits = np.stack([_words(summary.kept_bits) for summary in summaries])
    sizes = np.array([summary.counts["kept"] for summary in summaries], np.int64)
    common = np.stack([np.bitwise_count(bits & one).sum(axis=1, dtype=np.int64) for one in bits])
    union = sizes[:, None] + sizes[None, :] - common
    return np.where(union > 0, common / np.maximum(union, 1), 1.0)


def difference(evidence: Evidence, first: Summary, other: Summary) -> Difference:
    """Who entered and who left from the first decision to the other; examples are drawn by the ids' hashes."""
    before, after = (np.unpackbits(one.kept_bits, count=evidence.num_rows).astype(bool) for one in (first, other))
    entered, left = np.flatnonzero(after & ~before), np.flatnonzero(before & ~after)
    return Difference(len(entered), len(left), _examples(evidence, entered), _examples(evidence, left))


def _examples(evidence: Evidence, rows: Int64[np.ndarray, "b"]) -> tuple[str, ...]:
    chosen = rows[np.argsort(evidence.ids[rows], kind="stable")[:NUM_EXAMPLES]]
    return tuple(evidence.rows["id"].take(pa.array(chosen)).to_pylist())


def _words(bits: UInt8[np.ndarray, "b"]) -> UInt64[np.ndarray, "w"]:
    return np.append(bits, np.zeros(-len(bits) % 8, np.uint8)).view(np.uint64)
