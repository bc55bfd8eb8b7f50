"""What may be asked of one row: a closed set of predicates over measured columns, each with the reason it drops a row for.

A predicate reads one column (or asks the same of several), works on whole columns and knows nothing of other rows. A limit
may be another one for some leaves of the taxonomy: what is sharp enough for a portrait is not for a chart. Where a value is
missing, the row has not been measured, which is no reason to drop it: it is set aside unless the predicate says otherwise.

n rows
"""

# pyarrow.compute makes its functions at import, where the checker cannot see them.
# pyright: reportAttributeAccessIssue=false

from collections.abc import Callable, Mapping
from typing import Annotated, Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Float64
from pydantic import BaseModel, Field

REASON_PATTERN = r"^[a-z][a-z0-9_]*$"

WhenNull = Literal["quarantine", "drop", "keep"]


class AtLeast(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Every column's value is at least the limit."""

    kind: Literal["at_least"] = "at_least"
    reason: str = Field(pattern=REASON_PATTERN)
    """Why a row that fails is dropped."""
    columns: tuple[str, ...] = Field(min_length=1)
    """Numbers; each has to reach the limit."""
    limit: float
    """Smallest value that passes."""
    by_leaf: Mapping[str, float] = {}
    """Other limits for some leaves."""
    when_null: WhenNull = "quarantine"
    """What becomes of a row without a value."""


class AtMost(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Every column's value is at most the limit."""

    kind: Literal["at_most"] = "at_most"
    reason: str = Field(pattern=REASON_PATTERN)
    """Why a row that fails is dropped."""
    columns: tuple[str, ...] = Field(min_length=1)
    """Numbers; none may exceed the limit."""
    limit: float
    """Largest value that passes."""
    by_leaf: Mapping[str, float] = {}
    """Other limits for some leaves."""
    when_null: WhenNull = "quarantine"
    """What becomes of a row without a value."""


class Between(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """The column's value lies in a closed interval."""

    kind: Literal["between"] = "between"
    reason: str = Field(pattern=REASON_PATTERN)
    """Why a row that fails is dropped."""
    column: str
    """Numbers."""
    low: float
    """Smallest value that passes."""
    high: float
    """Largest value that passes."""
    when_null: WhenNull = "quarantine"
    """What becomes of a row without a value."""


class OneOf(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """The column's value is in a list."""

    kind: Literal["one_of"] = "one_of"
    reason: str = Field(pattern=REASON_PATTERN)
    """Why a row that fails is dropped."""
    column: str
    """Texts or whole numbers."""
    values: tuple[str, ...] | tuple[int, ...]
    """Those that pass."""
    when_null: WhenNull = "quarantine"
    """What becomes of a row without a value."""


class NoneOf(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """The column's value is not in a list."""

    kind: Literal["none_of"] = "none_of"
    reason: str = Field(pattern=REASON_PATTERN)
    """Why a row that fails is dropped."""
    column: str
    """Texts or whole numbers."""
    values: tuple[str, ...] | tuple[int, ...]
    """Those that fail."""
    when_null: WhenNull = "quarantine"
    """What becomes of a row without a value."""


class NotNull(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """The column has a value; a row without one is dropped."""

    kind: Literal["not_null"] = "not_null"
    reason: str = Field(pattern=REASON_PATTERN)
    """Why a row that fails is dropped."""
    column: str
    """Anything."""


class TextLength(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """The text without surrounding blanks has so many characters."""

    kind: Literal["text_length"] = "text_length"
    reason: str = Field(pattern=REASON_PATTERN)
    """Why a row that fails is dropped."""
    column: str
    """Texts."""
    low: int = Field(ge=0)
    """Fewest characters; 1 asks for any text at all."""
    high: int | None = Field(ge=0)
    """Most characters; None for any number."""
    when_null: WhenNull = "quarantine"
    """What becomes of a row without a value."""


class Matches(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """A pattern is found in the text."""

    kind: Literal["matches"] = "matches"
    reason: str = Field(pattern=REASON_PATTERN)
    """Why a row that fails is dropped."""
    column: str
    """Texts."""
    pattern: str
    """Regular expression in RE2's syntax."""
    when_null: WhenNull = "quarantine"
    """What becomes of a row without a value."""


class Lacks(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """A pattern is nowhere in the text."""

    kind: Literal["lacks"] = "lacks"
    reason: str = Field(pattern=REASON_PATTERN)
    """Why a row that fails is dropped."""
    column: str
    """Texts."""
    pattern: str
    """Regular expression in RE2's syntax."""
    when_null: WhenNull = "quarantine"
    """What becomes of a row without a value."""


Predicate = Annotated[
    AtLeast | AtMost | Between | OneOf | NoneOf | NotNull | TextLength | Matches | Lacks, Field(discriminator="kind")
]


class Answer(NamedTuple):
    """What a predicate says of every row."""

    fails: Bool[np.ndarray, "n"]
    """The row is to be dropped."""
    unknown: Bool[np.ndarray, "n"]
    """The row cannot be judged yet."""


class Leaves(NamedTuple):
    """The leaf of every row: a number per row, and the leaf that each number stands for."""

    codes: np.ndarray
    names: tuple[str, ...]


def columns_of(predicate: Predicate) -> tuple[str, ...]:
    """Columns that the predicate reads, leaves aside."""
    return predicate.columns if isinstance(predicate, AtLeast | AtMost) else (predicate.column,)


def reads_leaves(predicate: Predicate) -> bool:
    """Whether its answer depends on the leaf."""
    return isinstance(predicate, AtLeast | AtMost) and bool(predicate.by_leaf)


def in_words(predicate: Predicate) -> str:
    """What the predicate asks, for people."""
    columns = ", ".join(columns_of(predicate))
    match predicate:
        case AtLeast() | AtMost():
            side = "least" if isinstance(predicate, AtLeast) else "most"
            elsewhere = "".join(f"; {limit:g} for {leaf}" for leaf, limit in predicate.by_leaf.items())
            return f"{columns} at {side} {predicate.limit:g}{elsewhere if len(predicate.by_leaf) <= 3 else '; others by leaf'}"
        case Between():
            return f"{columns} from {predicate.low:g} to {predicate.high:g}"
        case OneOf() | NoneOf():
            return f"{columns} {predicate.kind.replace('_', ' ')} {', '.join(map(str, predicate.values))}"
        case NotNull():
            return f"{columns} has a value"
        case TextLength():
            high = "" if predicate.high is None else f", at most {predicate.high:,}"
            return f"{columns} at least {predicate.low:,}{high} characters"
        case Matches() | Lacks():
            return f"{columns} {predicate.kind} {predicate.pattern}"


def num_characters(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    """Characters of each text without surrounding blanks; null for a missing one."""
    return pc.utf8_length(pc.utf8_trim_whitespace(texts))


def answer(predicate: Predicate, rows: pa.Table, leaves: Callable[[], Leaves]) -> Answer:
    """Which rows fail, and which cannot be judged for lack of a value; a NaN fails.

    Args:
        leaves: asked only when the predicate has limits by leaf.
    """
    columns = [rows[name] for name in columns_of(predicate)]
    is_null = np.logical_or.reduce([_booleans(pc.is_null(column)) for column in columns])
    if isinstance(predicate, NotNull):
        return Answer(is_null, np.zeros_like(is_null))
    passes = _passes(predicate, columns, leaves)
    match predicate.when_null:
        case "quarantine":
            return Answer(~passes & ~is_null, is_null)
        case "drop":
            return Answer(~passes | is_null, np.zeros_like(is_null))
        case "keep":
            return Answer(~passes & ~is_null, np.zeros_like(is_null))


def _passes(predicate: Predicate, columns: list[pa.ChunkedArray], leaves: Callable[[], Leaves]) -> Bool[np.ndarray, "n"]:
    """Which rows pass; what is said of rows without a value means nothing."""
    (first, *_) = columns
    match predicate:
        case AtLeast():
            limits = _limits(predicate.limit, predicate.by_leaf, leaves)
            return np.logical_and.reduce([_numbers(column) >= limits for column in columns])
        case AtMost():
            limits = _limits(predicate.limit, predicate.by_leaf, leaves)
            return np.logical_and.reduce([_numbers(column) <= limits for column in columns])
        case Between():
            values = _numbers(first)
            return (values >= predicate.low) & (values <= predicate.high)
        case OneOf():
            return _booleans(pc.is_in(first, _listed(predicate.values, first)))
        case NoneOf():
            return ~_booleans(pc.is_in(first, _listed(predicate.values, first)))
        case TextLength():
            lengths = _numbers(num_characters(first))
            return (lengths >= predicate.low) & (lengths <= (np.inf if predicate.high is None else predicate.high))
        case Matches():
            return _booleans(pc.match_substring_regex(first, predicate.pattern))
        case Lacks():
            return ~_booleans(pc.match_substring_regex(first, predicate.pattern))
        case NotNull():
            return _booleans(pc.is_valid(first))


def _listed(values: tuple[str, ...] | tuple[int, ...], column: pa.ChunkedArray) -> pa.Array:
    return pa.array(list(values), column.type)


def _limits(limit: float, by_leaf: Mapping[str, float], leaves: Callable[[], Leaves]) -> Float64[np.ndarray, "n"] | float:
    if not by_leaf:
        return limit
    codes, names = leaves()
    without_leaf = limit
    return np.array([*(by_leaf.get(name, limit) for name in names), without_leaf], np.float64)[codes]


def _numbers(column: pa.ChunkedArray) -> np.ndarray:
    return pc.fill_null(column, pa.scalar(0, column.type)).to_numpy()


def _booleans(column: pa.ChunkedArray) -> Bool[np.ndarray, "n"]:
    return pc.fill_null(column, False).to_numpy()
