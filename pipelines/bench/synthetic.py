"""Columns of pictures that do not exist, any slice of them by itself: every value is a hash of the row's number.

One row in ten repeats an earlier one: a third as the same file, a third with some bits of its perceptual hash turned, a third
as a crop, further away in hash and near in features. Leaves and words are drawn by Zipf's law, as in real collections.

n rows
"""

# pyarrow.compute makes its functions at import, where the checker cannot see them.
# pyright: reportAttributeAccessIssue=false

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation.balance import BalanceConfig, QuotaConfig, WordAxis
from curation.dedup.rule import CellConfig, DedupConfig, NearConfig
from curation.draws import mixed
from curation.predicates import AtLeast, TextLength
from curation.verdict import DecisionConfig, Failed

NUM_LEAVES, NUM_WORDS, WIDTH = 400, 20_000, 64

RULES = DecisionConfig(
    leaf="category",
    quarantine=Failed(columns=("hashes_error",), reasons=("unreadable",), otherwise="failed"),
    drop=(
        AtLeast(reason="too_small", columns=("width_px", "height_px"), limit=256),
        AtLeast(reason="blurred", columns=("sharpness",), limit=20, by_leaf={"leaf-003": 5}),
        AtLeast(reason="dull", columns=("aesthetic",), limit=3),
        TextLength(reason="no_text", column="text_en", low=1, high=400),
    ),
    dedup=DedupConfig(
        exact="exact_hash",
        prefer=("aesthetic", "width_px"),
        near=NearConfig(hashes="perceptual_hash", bits=3, cosine=0.9, same=("style",), parents=None, cells=None),
        memory_bytes=1 << 30,
    ),
    features="image_features",
    balance=BalanceConfig(
        leaves=None,
        words=WordAxis(column="text_en", threshold=2000, min_rows=100, most=4),
        cells=None,
        gives="draws",
    ),
    quotas=QuotaConfig(column="category", rows=(("leaf-000", 20_000),), otherwise=50_000),
    seed=0,
)
"""A recipe with every part."""

CELLS = CellConfig(cosine=0.97, bits=20, rows=1024, probes=2, seed=0)
"""The working point of features, for tables that come with some."""


class SyntheticShard(NamedTuple):
    """Rows `first` to `last` - 1, as `curation.shards.Shard`."""

    first: int
    last: int

    @property
    def num_rows(self) -> int:
        """Rows of the shard."""
        return self.last - self.first

    def rows(self, columns: Sequence[str]) -> pa.Table:
        """These columns."""
        return columns_of(self.first, self.last, columns)

    def features(self, rows: np.ndarray) -> np.ndarray:
        """Features of some rows."""
        return _features(rows.astype(np.uint64) + np.uint64(self.first))


def columns(first: int, last: int) -> pa.Table:
    """Rows `first` to `last` - 1."""
    return columns_of(first, last, None)


def columns_of(first: int, last: int, names: Sequence[str] | None) -> pa.Table:
    """The same rows with these columns, all when None; only what is asked for is made."""
    numbers = np.arange(first, last, dtype=np.uint64)
    origins, kinds = _origins(numbers)
    is_broken = _units(numbers, 11) < 0.005
    makers: dict[str, Callable[[], pa.Array]] = {
        "id": lambda: pc.binary_join_element_wise("synthetic", pa.array(numbers).cast(pa.string()), "/"),
        "category": lambda: _named("leaf", _zipf(_units(origins, 6), NUM_LEAVES), 3),
        "style": lambda: _named("style", (4 * _units(origins, 7)).astype(np.int64), 1),
        "text_en": lambda: _texts(origins),
        "exact_hash": lambda: pa.array(_values(_files(numbers, origins, kinds), 8), mask=is_broken).cast(pa.string()),
        "hashes_error": lambda: pa.array(np.where(is_broken, "unreadable: cut short", ""), mask=~is_broken),
        "width_px": lambda: pa.array(_sides_px(numbers, 1), mask=is_broken),
        "height_px": lambda: pa.array(_sides_px(numbers, 2), mask=is_broken),
        "sharpness": lambda: pa.array((400 * _units(origins, 3) ** 2).astype(np.float32), mask=is_broken),
        "aesthetic": lambda: pa.array((10 * _units(numbers, 4) ** 0.5).astype(np.float32), mask=is_broken),
        "perceptual_hash": lambda: pa.array(_values(origins, 5) ^ _bits_turned(numbers, kinds), mask=is_broken),
    }
    return pa.table({name: makers[name]() for name in (makers if names is None else names)})


def features(first: int, last: int) -> np.ndarray:
    """Features of the same rows, fp16: rows of one leaf lie about the leaf's centre, repeated rows beside their originals."""
    return _features(np.arange(first, last, dtype=np.uint64))


def origins(first: int, last: int) -> np.ndarray:
    """The number of the row that each row repeats, its own for an original."""
    return _origins(np.arange(first, last, dtype=np.uint64))[0].astype(np.int64)


def _features(numbers: np.ndarray) -> np.ndarray:
    origins, kinds = _origins(numbers)
    leaves = _zipf(_units(origins, 6), NUM_LEAVES).astype(np.uint64)
    axes = np.arange(WIDTH, dtype=np.uint64)
    centre, own, noise = (
        _units(values[:, None] * np.uint64(WIDTH) + axes, salt) - 0.5
        for values, salt in ((leaves, 20), (origins, 21), (numbers, 22))
    )
    return (centre + 0.7 * own + np.where(kinds > 1, 0.06, 0.0)[:, None] * noise).astype(np.float16)


def _files(numbers: np.ndarray, origins: np.ndarray, kinds: np.ndarray) -> np.ndarray:
    """A number for the file of each row; only copies of the first kind share theirs."""
    return np.where(kinds > 1, numbers + np.uint64(1 << 62), origins)


def _sides_px(numbers: np.ndarray, salt: int) -> np.ndarray:
    return (256 * 2 ** (3 * _units(numbers, salt)) - 20).astype(np.int32)


def _bits_turned(numbers: np.ndarray, kinds: np.ndarray) -> np.ndarray:
    return np.where(kinds == 2, _turned(numbers, 2), np.where(kinds == 3, _turned(numbers, 12), np.uint64(0)))


def _origins(numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Original of each row, and 0 for an original, 1 same file, 2 near in hash, 3 cropped."""
    is_copy = (_units(numbers, 9) < 0.1) & (numbers > 0)
    earlier = (_units(numbers, 10) * numbers).astype(np.uint64)
    found = np.where(is_copy, earlier, numbers)
    is_copy_of_copy = is_copy & (_units(found, 9) < 0.1) & (found > 0)      # those stay originals, so that truth has one step
    kinds = np.where(is_copy & ~is_copy_of_copy, 1 + (3 * _units(numbers, 12)).astype(np.int64), 0)
    return np.where(kinds > 0, found, numbers), kinds


def _values(numbers: np.ndarray, salt: int) -> np.ndarray:
    return mixed(mixed(numbers) ^ np.uint64(salt * 0x9E37_79B9))


def _units(numbers: np.ndarray, salt: int) -> np.ndarray:
    return (_values(numbers, salt) >> np.uint64(11)) * 2.0**-53


def _turned(numbers: np.ndarray, most: int) -> np.ndarray:
    """Up to `most` bits of 64."""
    bits = np.zeros(len(numbers), np.uint64)
    for turn in range(most):
        bits |= np.uint64(1) << (_values(numbers, 40 + turn) & np.uint64(63))
    return bits


def _zipf(units: np.ndarray, num: int) -> np.ndarray:
    """Ranks with a chance of about 1 / rank."""
    return np.minimum(np.exp(units * np.log(num + 1)).astype(np.int64) - 1, num - 1)


def _named(name: str, codes: np.ndarray, digits: int) -> pa.Array:
    names = pa.array([f"{name}-{code:0{digits}}" for code in range(int(codes.max(initial=0)) + 1)])
    return names.take(pa.array(codes))


def _texts(numbers: np.ndarray) -> pa.Array:
    words = pa.array([f"word{rank}" for rank in range(NUM_WORDS)])
    chosen = [words.take(pa.array(_zipf(_units(numbers, 60 + place), NUM_WORDS))) for place in range(6)]
    return pc.binary_join_element_wise(*chosen, " ")
