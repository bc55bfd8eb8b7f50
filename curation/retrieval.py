"""Finding pictures in a table: by words, by what they mean, by how they look, and by all of it at once.

Three rankings, each by an index of Lance's where there are enough rows and by looking at all rows where there are not:

* ``words``: BM25 of the query in original texts and captions. English is stemmed; Chinese is cut into one and two characters,
  since it has no spaces. A row counts with its best column.
* ``meaning``: cosine between a text and the pictures in the space of the contrastive head, a column of its own
  (`curation.signals.joint`) because the head's map of the features is no cosine of the features themselves.
* ``likeness``: cosine between the features of a picture and those of the rows.

They are joined by reciprocal rank fusion (Cormack, Clarke & Büttcher 2009): a row scores the sum of 1 / (60 + its place) over
the rankings it is in. Only places count, because BM25 and the two cosines have no common scale; a weighted sum of scores would
need weights that are fitted anew for every corpus and every head.

d width of a vector
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from jaxtyping import Float32
from lance import LanceDataset, LanceScanner
from lance.query import MultiMatchQuery

from curation import commit
from curation.tables import TableRef, open_table, pin
from infra.errors import UserError

RANK_OFFSET = 60
"""Cormack et al.'s k: how much less the first places stand out."""

DEPTH = 5
"""Rows looked at in every ranking for each row that is asked for, so that one found by several can rise."""

FEATURES = "image_features"

_ENGLISH = {"base_tokenizer": "simple", "language": "English", "stem": True, "remove_stop_words": True}
_HAN = {
    "base_tokenizer": "ngram", "min_ngram_length": 1, "max_ngram_length": 2, "stem": False, "remove_stop_words": False,
}  # fmt: skip
TEXT_COLUMNS: Mapping[str, Mapping[str, str | int | bool]] = {
    "text_en": _ENGLISH, "captions_en": _ENGLISH, "text_zh": _HAN, "captions_zh": _HAN,
}  # fmt: skip
"""Columns in which words are looked for, and how they are cut into words."""

_PROBED_PARTITIONS = 20
"""At least; more where a filter leaves too few rows in these."""
_REFINED = 10
"""Quantised distances choose this many times what is asked for; exact ones put them in order."""
_IDS_AT_ONCE = 500

Vector = Float32[np.ndarray, " d"]


class BadFilter(UserError):
    """A filter that Lance does not understand for this table."""


class IndexSizes(NamedTuple):
    """From how many vectors on which index pays."""

    flat_rows: int = 20_000
    """Below, all rows are compared: 100 MB of features at 1,280 channels are read in a tenth of a second."""
    quantised_rows: int = 200_000
    """From here on vectors are stored in 1/32 of their size for the search."""


class Query(NamedTuple):
    """What is looked for; each part that is there makes a ranking."""

    words: str | None = None
    meaning: tuple[str, Vector] | None = None
    """Column of unit vectors, and a vector in its space."""
    likeness: Vector | None = None
    """Features of a picture."""


class Hit(NamedTuple):
    """A row that was found."""

    id: str
    score: float
    """Sum of 1 / (60 + place) over the rankings."""
    places: Mapping[str, int]
    """Its place in every ranking it is in, from 1."""
    values: Mapping[str, float]
    """BM25 or cosine by ranking."""
    text: str
    """The most telling text of the row: its medium caption, else its original text."""


class Ranked(NamedTuple):
    """A row in one ranking."""

    id: str
    value: float
    text: str


def search(ref: TableRef, query: Query, *, limit: int, where: str | None = None) -> list[Hit]:
    """The rows that fit best, best first; equal scores by id.

    Args:
        ref: the version to look in; rows that no index covers are looked at one by one.
        where: Lance filter that every row must pass, for example ``verdict = 'kept'``; rows that are set aside never do.

    Raises:
        UserError: an empty query, or a table that lacks what the query needs.
        BadFilter: `where` is no filter of this table.
    """
    if not query.words and query.meaning is None and query.likeness is None:
        raise UserError("nothing to search for; give words, a picture or both")
    dataset, depth = open_table(ref), limit * DEPTH
    where = visible(dataset, where)
    rankings: dict[str, list[Ranked]] = {}
    if query.words:
        rankings["words"] = _by_words(dataset, query.words, depth=depth, where=where)
    if query.meaning:
        rankings["meaning"] = _by_vector(dataset, *query.meaning, depth=depth, where=where)
    if query.likeness is not None:
        rankings["likeness"] = _by_vector(dataset, FEATURES, query.likeness, depth=depth, where=where)
    return fused(rankings)[:limit]


def visible(dataset: LanceDataset, where: str | None) -> str | None:
    """The filter, narrowed to rows that may be shown: what was set aside is broken, or was taken down and came back."""
    rules = {"verdict": "(verdict IS NULL OR verdict != 'quarantined')", "hashes_error": "hashes_error IS NULL"}
    parts = [rule for column, rule in rules.items() if column in dataset.schema.names]
    return " AND ".join([f"({where})", *parts] if where else parts) or None


def fused(rankings: Mapping[str, Sequence[Ranked]]) -> list[Hit]:
    """All rows of the rankings by reciprocal rank fusion, best first; equal scores by id."""
    places: dict[str, dict[str, int]] = defaultdict(dict)
    values: dict[str, dict[str, float]] = defaultdict(dict)
    texts: dict[str, str] = {}
    for name, ranking in rankings.items():
        for place, row in enumerate(ranking, start=1):
            places[row.id][name], values[row.id][name], texts[row.id] = place, row.value, row.text
    hits = [
        Hit(row_id, sum(1 / (RANK_OFFSET + place) for place in found.values()), found, values[row_id], texts[row_id])
        for row_id, found in places.items()
    ]
    return sorted(hits, key=lambda hit: (-hit.score, hit.id))


def refresh_indexes(uri: str, *, sizes: IndexSizes = IndexSizes()) -> tuple[str, ...]:  # noqa: B008  an immutable default
    """Make all indexes cover all rows of the newest version; gives the columns that had to be touched.

    Lance itself leaves out of an index what was replaced after it was built, and looks at such rows one by one, so a search is
    right without this, only slower.
    """
    dataset = open_table(pin(TableRef(uri=uri)))
    kinds = {index.field_names[0]: _kind_of(dataset, index.name) for index in dataset.describe_indices()}
    texts, vectors = _text_columns(dataset), _vector_columns(dataset)
    built = [column for column in texts if column not in kinds]
    for column in built:
        commit.index_texts(uri, column, TEXT_COLUMNS[column])
    for column in vectors:
        built += [column] if _build_vector_index(dataset, column, present=kinds.get(column), sizes=sizes) else []
    behind = [column for column in (*texts, *vectors) if column in kinds and column not in built and _num_left(dataset, column)]
    commit.extend_indexes(uri, [_index_name(dataset, column) for column in behind])
    return (*built, *behind)


def rows_by_id(ref: TableRef, ids: Sequence[str], columns: Sequence[str]) -> pa.Table:
    """Columns of the rows with these ids, in the order of the ids; ids that are not in the table are left out."""
    dataset, wanted = open_table(ref), list(dict.fromkeys(ids))
    parts = [
        dataset.to_table(columns=["id", *columns], filter=f"id IN ({', '.join(map(quoted, chunk))})")
        for chunk in (wanted[start : start + _IDS_AT_ONCE] for start in range(0, len(wanted), _IDS_AT_ONCE))
    ]
    if not parts:
        return dataset.schema.empty_table().select(["id", *columns])
    found = pa.concat_tables(parts)
    place = {row_id: index for index, row_id in enumerate(found["id"].to_pylist())}
    return found.take(pa.array([place[row_id] for row_id in wanted if row_id in place], pa.int64()))


def quoted(text: str) -> str:
    """The text as a literal of a Lance filter."""
    return "'" + text.replace("'", "''") + "'"


def vectors_of(column: pa.ChunkedArray) -> Float32[np.ndarray, "b d"]:
    """A column of vectors without nulls as a matrix."""
    assert not column.null_count, column.null_count
    return np.asarray(column.combine_chunks().flatten(), dtype=np.float32).reshape(len(column), column.type.list_size)


def _by_words(dataset: LanceDataset, words: str, *, depth: int, where: str | None) -> list[Ranked]:
    columns = _text_columns(dataset)
    if not columns:
        raise UserError(f"table {dataset.uri} has none of the columns {', '.join(TEXT_COLUMNS)}, so words cannot be looked for")
    query = MultiMatchQuery(words, columns)
    return _ranked(dataset, {"full_text_query": query}, "_score", depth=depth, where=where)


def _by_vector(dataset: LanceDataset, column: str, vector: Vector, *, depth: int, where: str | None) -> list[Ranked]:
    if column not in dataset.schema.names:
        raise UserError(f"table {dataset.uri} has no column {column!r}; run `seedbed curate` first")
    nearest = {
        "column": column, "q": vector, "k": depth, "metric": "cosine", "minimum_nprobes": _PROBED_PARTITIONS,
        "refine_factor": _REFINED,
    }  # fmt: skip
    return _ranked(dataset, {"nearest": nearest}, "_distance", depth=depth, where=where)


def _ranked(
    dataset: LanceDataset, search_for: Mapping[str, object], by: str, *, depth: int, where: str | None
) -> list[Ranked]:
    """Rows of one ranking, best first, equal ones by id."""
    shown = [name for name in ("captions_en", "text_en", "text_zh") if name in dataset.schema.names]
    arguments = {"columns": ["id", *shown, by], "filter": where, "prefilter": True, "limit": depth, **search_for}
    try:
        rows = _scanner(dataset, arguments).to_table().to_pylist()
    except ValueError as error:
        if where is None:
            raise
        said = " ".join(str(error).split()).removeprefix("Invalid user input: ")[:200]
        raise BadFilter(f"filter {where!r} does not work on {dataset.uri}: {said}; compare columns of the table") from error
    found = [Ranked(row["id"], row[by] if by == "_score" else 1 - row[by], _telling(row)) for row in rows]
    return sorted(found, key=lambda row: (-row.value, row.id))


def _scanner(dataset: LanceDataset, arguments: Mapping[str, object]) -> LanceScanner:
    return dataset.scanner(**arguments)  # pyright: ignore[reportArgumentType]  names and types are those of `_ranked`


def _telling(row: Mapping[str, object]) -> str:
    captions = row.get("captions_en")
    if isinstance(captions, list) and captions:
        return captions[min(1, len(captions) - 1)]
    return str(row.get("text_en") or row.get("text_zh") or "")


def _text_columns(dataset: LanceDataset) -> list[str]:
    return [column for column in TEXT_COLUMNS if column in dataset.schema.names]


def _vector_columns(dataset: LanceDataset) -> list[str]:
    fields: Iterator[pa.Field] = iter(dataset.schema)
    vectors = (field.name for field in fields if pa.types.is_fixed_size_list(field.type))
    return [name for name in vectors if name == FEATURES or name.startswith("joint")]


def _build_vector_index(dataset: LanceDataset, column: str, *, present: str | None, sizes: IndexSizes) -> bool:
    """Build the index that suits the number of vectors, when there is none, another, or one that was trained on under half."""
    num = dataset.count_rows(filter=f"{column} IS NOT NULL")
    if num < sizes.flat_rows:
        return False
    kind = "IVF_FLAT" if num < sizes.quantised_rows else "IVF_PQ"
    if present == kind and _num_left(dataset, column) * 2 <= num:
        return False
    width = dataset.schema.field(column).type.list_size
    sub_vectors = next(width // size for size in (16, 8, 4, 2, 1) if width % size == 0) if kind == "IVF_PQ" else None
    commit.index_vectors(dataset.uri, column, kind=kind, num_partitions=max(1, round(num**0.5)), num_sub_vectors=sub_vectors)
    return True


def _num_left(dataset: LanceDataset, column: str) -> int:
    """Rows that the index of a column does not cover."""
    return dataset.stats.index_stats(_index_name(dataset, column))["num_unindexed_rows"]


def _index_name(dataset: LanceDataset, column: str) -> str:
    return next(index.name for index in dataset.describe_indices() if index.field_names == [column])


def _kind_of(dataset: LanceDataset, name: str) -> str:
    return dataset.stats.index_stats(name)["index_type"]
