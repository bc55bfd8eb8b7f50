"""What a table lacks: found without its ids in memory, whole after any interruption, and never twice."""

import json
import tracemalloc
from collections.abc import Iterator, Sequence
from pathlib import Path

import lance
import pyarrow as pa
import pytest

from curation.listing import Listing
from curation.presence import Presence, Rows
from curation.sources.protocol import BadShard, ReadFailure, Shard, SourceRow, tables_of
from curation.tables import IMAGES_SCHEMA


class Numbers:
    """A source of rows without pictures: shard k lists its numbers; a negative number is where it breaks off."""

    name = "numbers"

    def __init__(self, shards: dict[str, Sequence[int]]) -> None:
        self._shards = shards

    def shards(self) -> Iterator[Shard]:
        yield from (Shard(name, str(len(numbers))) for name, numbers in self._shards.items())

    def rows(self, shard: str) -> Iterator[pa.Table]:
        yield from tables_of(self._listed(shard))

    def shard_of(self, locator: str) -> str:
        return locator.partition("#")[0]

    def read(self, locators: Sequence[str]) -> list[bytes | ReadFailure]:
        return [locator.encode() for locator in locators]

    def _listed(self, shard: str) -> Iterator[SourceRow]:
        for number in self._shards[shard]:
            if number < 0:
                raise BadShard(f"{shard} breaks off")
            row_id = f"numbers/{shard}/{number}"
            yield SourceRow(row_id, self.name, f"{shard}#{number}", "", "", row_id, "", "", "", "", "", "", "", "", "train")


def table_with(uri: Path, rows: Sequence[pa.Table]) -> str:
    schema_rows = [row | {"image": b"", "ingest_error": ""} for table in rows for row in table.to_pylist()]
    lance.write_dataset(
        pa.Table.from_pylist(schema_rows, schema=IMAGES_SCHEMA), str(uri), mode="append" if uri.exists() else "create"
    )
    return str(uri)


def listing_of(source: Numbers, uri: str) -> Listing:
    return Listing(source, Presence(uri, source=source.name, shard_of=source.shard_of))


def ids(chunks: Sequence[pa.Table]) -> list[str]:
    return [row_id for chunk in chunks for row_id in chunk["id"].to_pylist()]


def test_everything_is_fresh_in_an_empty_table_in_whole_chunks(tmp_path: Path) -> None:
    uri = table_with(tmp_path / "t.lance", [])
    source = Numbers({"a": range(2500), "b": range(3), "c": []})
    listing = listing_of(source, uri)
    chunks = list(listing.chunks(100))
    assert [chunk.num_rows for chunk in chunks] == [100] * 25 + [3]
    assert len(set(ids(chunks))) == listing.num_listed == listing.num_fresh == 2503


@pytest.mark.parametrize("num_present", [0, 1, 99, 100, 250, 499, 500])
def test_what_was_appended_before_an_interruption_is_left_out(tmp_path: Path, num_present: int) -> None:
    source = Numbers({f"s{index}": range(50) for index in range(10)})
    uri = table_with(tmp_path / "t.lance", [])
    whole = pa.concat_tables(listing_of(source, uri).chunks(50))
    table_with(tmp_path / "t.lance", [whole.slice(0, num_present)])
    listing = listing_of(source, uri)
    assert sorted(ids(list(listing.chunks(7)))) == sorted(whole["id"].to_pylist()[num_present:])
    assert (listing.num_listed, listing.num_fresh) == (500, 500 - num_present)


def test_a_shard_of_equal_size_with_other_rows_is_noticed(tmp_path: Path) -> None:
    uri = table_with(tmp_path / "t.lance", list(Numbers({"a": [1, 2, 3]}).rows("a")))
    listing = listing_of(Numbers({"a": [1, 2, 4]}), uri)
    assert ids(list(listing.chunks(10))) == ["numbers/a/4"]
    assert (listing.num_listed, listing.num_fresh) == (3, 1)


def test_rows_of_another_source_do_not_count(tmp_path: Path) -> None:
    other = next(Numbers({"a": [1]}).rows("a")).to_pylist()[0] | {"source": "composed", "id": "composed/1"}
    uri = table_with(tmp_path / "t.lance", [pa.Table.from_pylist([other])])
    assert listing_of(Numbers({"a": [1]}), uri).chunks(1).__next__().num_rows == 1


def test_a_damaged_shard_gives_what_is_before_the_damage_and_is_named(tmp_path: Path) -> None:
    uri = table_with(tmp_path / "t.lance", [])
    source = Numbers({"a": [1, 2], "bad": [*range(1024), -1], "c": [5]})
    listing = listing_of(source, uri)
    assert len(ids(list(listing.chunks(4)))) == 2 + 1024 + 1
    assert listing.bad_shards == {"bad": "bad breaks off"}
    table_with(tmp_path / "t.lance", list(Numbers({"bad": range(1024)}).rows("bad")))
    again = listing_of(source, uri)
    assert len(ids(list(again.chunks(4)))) == 3
    assert again.bad_shards == {"bad": "bad breaks off"}


def test_order_does_not_matter_to_a_sum_and_content_does() -> None:
    names = [json.dumps(number) for number in range(100)]
    assert Rows().plus(names) == Rows().plus(names[50:]).plus(names[:50])
    assert Rows().plus(names) != Rows().plus([*names[1:], "other"])


def test_listing_holds_a_few_chunks_and_not_the_source(tmp_path: Path) -> None:
    """20,000 rows of a table and of a source pass through; what is held meanwhile is a small part of them."""
    source = Numbers({f"s{index}": range(1_000) for index in range(20)})
    uri = table_with(tmp_path / "t.lance", [])
    for index in range(0, 20, 2):
        table_with(tmp_path / "t.lance", list(source.rows(f"s{index}")))
    listing = listing_of(source, uri)
    tracemalloc.start()
    num_rows = sum(chunk.num_rows for chunk in listing.chunks(128))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (num_rows, listing.num_listed) == (10_000, 20_000)
    assert peak < 8 * 2**20
