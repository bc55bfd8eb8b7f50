"""Rows that may belong to a scenario of the taxonomy, for one that starves, found as if it were searched for."""

from collections.abc import Sequence
from difflib import get_close_matches
from typing import NamedTuple

import pyarrow as pa

from curation.retrieval import Hit, Query, rows_by_id, search
from curation.signals.taxonomy import MINILM_SCORING, Captions, LeafScorer, MiniLm
from curation.tables import TableRef, open_table
from curation.taxonomy.assignment import LEAF_SCHEMA, UNASSIGNED, AssignmentConfig, assign
from curation.taxonomy.leaves import Leaf, Taxonomy
from curation.taxonomy.loading import load_taxonomy
from infra.errors import UserError
from pipelines.finding import Finder

BY_KEYWORDS = AssignmentConfig(min_score=0.5, max_further=2)
"""When the keywords of a caption alone put a row into a leaf."""

Leaves = tuple[str, ...]
"""Ids: the leaf of a row, then others that it is in."""

LOOKED_AT = 10
"""Rows searched for each that is proposed: some are in the leaf already."""


class Candidate(NamedTuple):
    """A row proposed for a leaf."""

    hit: Hit
    fit: float
    """Score of its captions for the leaf, in [0, 1]; 0 when only its picture speaks for it."""
    leaf: str
    """The leaf it is in: as measured, else as its captions say; or "unassigned"."""


def propose(finder: Finder, leaf_id: str, *, limit: int, where: str | None = None) -> tuple[TableRef, list[Candidate]]:
    """Rows outside a leaf that fit it best, in the order of the fused ranking; and the table they are in.

    Raises:
        UserError: the taxonomy has no such leaf.
    """
    taxonomy = load_taxonomy()
    leaf = _leaf(taxonomy, leaf_id)
    table = finder.prepared()
    query = Query(words=" ".join((*leaf.keywords.en, *leaf.keywords.zh)))
    if finder.knows_meaning:
        query = query._replace(meaning=finder.meaning([leaf.definition, *leaf.examples.en, ", ".join(leaf.keywords.en)]))
    hits = search(table, query, limit=limit * LOOKED_AT, where=where)
    measured = _measured(table, hits)
    return table, outside_leaf(taxonomy, leaf, hits, captions=_captions(table, hits), measured=measured)[:limit]


def outside_leaf(
    taxonomy: Taxonomy, leaf: Leaf, hits: Sequence[Hit], *, captions: Captions, measured: Sequence[Leaves | None]
) -> list[Candidate]:
    """The hits that are not in the leaf already, each with how well its captions fit.

    Args:
        measured: leaves of every hit as `seedbed curate` measured them; None where keywords have to tell.
    """
    if not hits:
        return []
    by_keywords = _leaves(assign(LeafScorer(taxonomy, MINILM_SCORING).scores(captions), BY_KEYWORDS))
    scores = LeafScorer(taxonomy, MINILM_SCORING, embedder=MiniLm(), leaves=[leaf.id]).scores(captions)
    fits = [entries[0]["score"] if entries else 0.0 for entries in scores.to_pylist()]
    now = [known or told or (UNASSIGNED,) for known, told in zip(measured, by_keywords, strict=True)]
    rows = zip(hits, fits, now, strict=True)
    return [Candidate(hit, fit, leaves[0]) for hit, fit, leaves in rows if leaf.id not in leaves]


def _measured(table: TableRef, hits: Sequence[Hit]) -> list[Leaves | None]:
    if not set(LEAF_SCHEMA.names) <= set(open_table(table).schema.names):
        return [None] * len(hits)
    return _leaves(rows_by_id(table, [hit.id for hit in hits], LEAF_SCHEMA.names))


def _leaves(rows: pa.Table) -> list[Leaves | None]:
    """The leaf of every row, and those that it is in besides."""
    further = [[entry["leaf"] for entry in entries or ()] for entries in rows["further_leaves"].to_pylist()]
    return [(leaf, *others) if leaf else None for leaf, others in zip(rows["leaf"].to_pylist(), further, strict=True)]


def _leaf(taxonomy: Taxonomy, leaf_id: str) -> Leaf:
    if leaf_id in taxonomy.leaves:
        return taxonomy.leaves[leaf_id]
    near = get_close_matches(leaf_id, taxonomy.leaves, n=3, cutoff=0.4)
    hint = f"did you mean {' or '.join(near)}?" if near else "leaves are named domain/leaf, see curation/taxonomies"
    raise UserError(f"the taxonomy has no leaf {leaf_id!r}; {hint}")


def _captions(table: TableRef, hits: Sequence[Hit]) -> Captions:
    rows = rows_by_id(table, [hit.id for hit in hits], ["text_en", "text_zh"])
    assert rows.num_rows == len(hits), (rows.num_rows, len(hits))
    return Captions(rows["text_en"].to_pylist(), rows["text_zh"].to_pylist())
