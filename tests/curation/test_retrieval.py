from pathlib import Path

import lance
import numpy as np
import pyarrow as pa
import pytest

from curation import commit
from curation.retrieval import (
    BadFilter,
    IndexSizes,
    Query,
    Ranked,
    fused,
    quoted,
    refresh_indexes,
    rows_by_id,
    search,
)
from curation.tables import FEATURE_DIM, TableRef, pin
from infra.errors import UserError

FEATURES = pa.list_(pa.float32(), FEATURE_DIM)
SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False), pa.field("text_en", pa.string()), pa.field("text_zh", pa.string()),
        pa.field("captions_en", pa.list_(pa.string())), pa.field("image_features", FEATURES),
    ]
)  # fmt: skip
SMALL = IndexSizes(flat_rows=64, quantised_rows=10_000)


def _axes(places: list[int]) -> np.ndarray:
    """Features of pictures of as many kinds as there are places, each with a little of its own."""
    noise = np.random.default_rng(len(places)).normal(size=(len(places), FEATURE_DIM)) * 0.005
    return (np.eye(FEATURE_DIM)[places] + noise).astype(np.float32)


def _rows(names: list[str], chinese: list[str], *, first: int = 0) -> pa.Table:
    vectors = pa.array(_axes([ord(name[0]) - 97 for name in names]).reshape(-1))
    columns = [
        [f"r{first + number:03d}" for number in range(len(names))], names, chinese,
        [[name, f"a picture of a {name}", f"a long text about a {name}"] for name in names],
        pa.FixedSizeListArray.from_arrays(vectors, FEATURE_DIM),
    ]  # fmt: skip
    return pa.table([pa.array(each, field.type) if isinstance(each, list) else each for each, field in zip(columns, SCHEMA,
                     strict=True)], schema=SCHEMA)  # fmt: skip


@pytest.fixture
def table(tmp_path: Path) -> TableRef:
    uri = str(tmp_path / "images.lance")
    commit.create(uri, SCHEMA)
    commit.append_table(uri, _rows(["red apple", "green apple", "bear", "car"] * 25, ["红苹果", "青苹果", "熊", "汽车"] * 25))
    refresh_indexes(uri, sizes=SMALL)
    return pin(TableRef(uri=uri))


def test_words_find_texts_and_captions_in_both_languages(table: TableRef) -> None:
    assert {hit.text for hit in search(table, Query(words="red apples"), limit=25)} == {"a picture of a red apple"}
    assert {hit.text for hit in search(table, Query(words="青苹果"), limit=25)} == {"a picture of a green apple"}
    assert search(table, Query(words="submarine"), limit=5) == []


def test_a_picture_finds_its_like_with_an_index_and_without(table: TableRef) -> None:
    query = Query(likeness=_axes([1])[0])
    by_index = search(table, query, limit=25)
    unindexed = search(TableRef(uri=table.uri, version=2), query, limit=25)
    assert {hit.text for hit in by_index} == {"a picture of a bear"}
    assert {hit.id for hit in by_index} == {hit.id for hit in unindexed}
    assert min(hit.values["likeness"] for hit in by_index) > 0.9


def test_a_selective_filter_leaves_no_row_out(table: TableRef) -> None:
    """Rows far from the query, in cells that would not be looked at without the filter."""
    assert len(search(table, Query(likeness=_axes([1])[0]), limit=25, where="text_en = 'car'")) == 25


def test_rows_that_are_set_aside_are_never_found(table: TableRef) -> None:
    known = commit.add_columns(table, pa.schema([pa.field("verdict", pa.string()), pa.field("hashes_error", pa.string())]))
    rows = commit.rows_of(known, ["id"], where="id IN ('r000', 'r004')").drop_columns(["id"])
    aside = {"verdict": ["quarantined", "kept"], "hashes_error": [None, "taken_down: returned"]}
    known = commit.set_columns(known, pa.table(aside | {name: rows[name] for name in rows.schema.names}))
    found = {hit.id for hit in search(known, Query(words="red apple"), limit=100)}
    assert "r008" in found
    assert found.isdisjoint({"r000", "r004"})


def test_what_words_and_picture_agree_on_comes_first(table: TableRef) -> None:
    both = search(table, Query(words="apple", likeness=_axes([0])[0]), limit=40)
    assert all("apple" in hit.text for hit in both)
    assert both[0].places.keys() == {"words", "likeness"}


def test_a_filter_holds_for_every_ranking(table: TableRef) -> None:
    query = Query(words="apple bear", likeness=_axes([0])[0])
    hits = search(table, query, limit=50, where="text_en != 'red apple' AND id < 'r050'")
    assert hits
    assert all(hit.id < "r050" and "red" not in hit.text for hit in hits)


@pytest.mark.parametrize("where", ["no_such_column = 1", "id ==="])
def test_a_filter_that_does_not_work_is_named(table: TableRef, where: str) -> None:
    with pytest.raises(BadFilter, match=r"does not work on .*compare columns of the table"):
        search(table, Query(words="apple"), limit=3, where=where)


def test_an_empty_query_and_a_table_that_was_not_measured_are_refused(tmp_path: Path, table: TableRef) -> None:
    with pytest.raises(UserError, match="nothing to search for"):
        search(table, Query(), limit=3)
    bare = commit.create(str(tmp_path / "bare.lance"), pa.schema([pa.field("id", pa.string(), nullable=False)]))
    with pytest.raises(UserError, match="run `seedbed curate` first"):
        search(bare, Query(likeness=_axes([0])[0]), limit=3)


def test_appended_rows_are_found_before_and_covered_after_a_refresh(table: TableRef) -> None:
    commit.append_table(table.uri, _rows(["zebra"] * 3, ["斑马"] * 3, first=200))
    newest = pin(TableRef(uri=table.uri))
    queries = [Query(words="zebra"), Query(words="斑马"), Query(likeness=_axes([25])[0])]
    before = [{hit.id for hit in search(newest, query, limit=3)} for query in queries]
    touched = refresh_indexes(table.uri, sizes=SMALL)
    after = [{hit.id for hit in search(pin(TableRef(uri=table.uri)), query, limit=3)} for query in queries]
    assert before == after == [{"r200", "r201", "r202"}] * 3
    assert set(touched) == {"text_en", "text_zh", "captions_en", "image_features"}
    stats = lance.dataset(table.uri).stats.index_stats("text_en_idx")
    assert (stats["num_indexed_rows"], stats["num_unindexed_rows"]) == (103, 0)


def test_a_refresh_with_nothing_to_do_writes_nothing(table: TableRef) -> None:
    assert refresh_indexes(table.uri, sizes=SMALL) == ()
    assert pin(TableRef(uri=table.uri)) == table


def test_a_vector_index_is_built_anew_once_most_rows_are_not_in_it(table: TableRef) -> None:
    before = lance.dataset(table.uri).stats.index_stats("image_features_idx")["num_indexed_rows"]
    commit.append_table(table.uri, _rows(["dog"] * 150, ["狗"] * 150, first=300))
    assert "image_features" in refresh_indexes(table.uri, sizes=SMALL)
    stats = lance.dataset(table.uri).stats.index_stats("image_features_idx")
    assert (before, stats["num_indexed_rows"], stats["num_segments"]) == (100, 250, 1)


def test_replaced_captions_are_found_by_what_they_say_afterwards(table: TableRef) -> None:
    schema = pa.schema([SCHEMA.field("captions_en")])
    dataset = lance.dataset(table.uri)
    (fragment,) = dataset.get_fragments()
    with commit.ColumnFile(dataset, schema, announce=lambda _: None) as file:
        file.write(pa.table([pa.array([["a violin"] * 3] * 100, schema.field(0).type)], schema=schema))
    assert commit.replace_columns(table.uri, [file.replacement(fragment.fragment_id)], read_version=dataset.version)
    assert refresh_indexes(table.uri, sizes=SMALL) == ("captions_en",)
    newest = pin(TableRef(uri=table.uri))
    assert len(search(newest, Query(words="violin"), limit=100)) == 100
    assert search(newest, Query(words="picture"), limit=5) == []


def test_fusion_adds_reciprocals_of_places_and_settles_ties_by_id() -> None:
    def ranking(*ids: str) -> list[Ranked]:
        return [Ranked(row_id, 1.0, row_id) for row_id in ids]

    hits = fused({"words": ranking("a", "b", "c"), "likeness": ranking("c", "d", "b")})
    assert [hit.id for hit in hits] == ["c", "b", "a", "d"]
    assert hits[0].score == pytest.approx(1 / 63 + 1 / 61)
    assert hits[0].places == {"words": 3, "likeness": 1}
    assert [hit.id for hit in fused({"words": ranking("z"), "meaning": ranking("y")})] == ["y", "z"]


def test_rows_come_in_the_order_of_their_ids_whatever_is_in_these(tmp_path: Path) -> None:
    uri = str(tmp_path / "t.lance")
    commit.create(uri, SCHEMA)
    rows = _rows(["ant", "bee", "cow"], ["蚁", "蜂", "牛"])
    commit.append_table(uri, rows.set_column(0, SCHEMA.field("id"), pa.array(["it's", "b", "c"])))
    ref = pin(TableRef(uri=uri))
    assert rows_by_id(ref, ["c", "it's", "gone", "c"], ["text_en"]).to_pylist() == [
        {"id": "c", "text_en": "cow"}, {"id": "it's", "text_en": "ant"},
    ]  # fmt: skip
    assert rows_by_id(ref, [], ["text_en"]).num_rows == 0
    assert quoted("it's") == "'it''s'"
