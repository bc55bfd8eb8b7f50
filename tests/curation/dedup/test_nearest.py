import pyarrow as pa

from curation.dedup.nearest import Nearest, columns_read, nearest_kept
from curation.dedup.rule import DedupConfig, NearConfig

NEAR = NearConfig(hashes="hash", bits=3, cosine=-1, same=("style",), parents=None, cells=None)
CONFIG = DedupConfig(exact="file", prefer=(), near=NEAR, memory_bytes=1 << 20)


def _rows(*rows: tuple[str, str, int | None, str]) -> pa.Table:
    names, files, hashes, styles = zip(*rows, strict=True)
    columns = {"id": names, "file": files, "hash": pa.array(hashes, pa.uint64()), "style": styles}
    return pa.table({**columns, "_rowid": pa.array(range(len(rows)), pa.uint64())})


def test_the_same_file_wins_over_a_near_hash_and_the_nearest_hash_over_others() -> None:
    kept = _rows(
        ("a", "f1", 0b111, "flat"), ("b", "f2", 0b001, "flat"), ("c", "f3", 0b000, "outlined"), ("d", "f4", None, "flat")
    )
    losers = _rows(
        ("same", "f1", 0b000, "flat"), ("near", "g", 0b000, "flat"), ("far", "h", 0xFFFF, "flat"), ("none", "i", None, "flat")
    )
    expected = {"same": Nearest(0, "a", -1), "near": Nearest(1, "b", 1)}
    assert nearest_kept(losers, [kept], CONFIG) == expected
    assert nearest_kept(losers, [kept.slice(start, 1) for start in (3, 2, 1, 0)], CONFIG) == expected
    assert columns_read(CONFIG) == ("id", "file", "hash", "style")


def test_without_a_rule_for_near_ones_only_the_same_file_is_found() -> None:
    config = CONFIG.model_copy(update={"near": None})
    assert nearest_kept(_rows(("x", "f9", 0, "flat")), [_rows(("a", "f1", 0, "flat"))], config) == {}
    assert nearest_kept(_rows(("x", "f1", 0, "flat")), [_rows(("a", "f1", 0, "flat"))], config) == {"x": Nearest(0, "a", -1)}
