"""What counts as a duplicate.

* Of rows with equal files one stays, whatever else is said of them.
* Two rows are near-duplicates when low-level and semantic evidence agree, at either of two working points: hashes all but
  equal and features alike, or features all but equal and hashes alike. One kind of evidence alone is not enough: features
  alone take two formulas or two charts for one picture, and hashes alone miss crops and take two pale pictures for one. The
  first point is proposed by bands of hashes (complete), the second by cells of features (nearly so), and each is confirmed by
  the other kind.
* Rows that differ in one of the words that edits are learned from are never near-duplicates, nor are composed pictures, which
  resemble their parents on purpose.
"""

from pydantic import BaseModel, Field


class CellConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """The working point that features propose and hashes confirm."""

    cosine: float = Field(ge=0, le=1)
    """Smallest cosine of features."""
    bits: int = Field(ge=0, le=64)
    """Largest difference of hashes; 32 is what strangers have on average, with a standard deviation of 4."""
    rows: int = Field(ge=8)
    """Most rows of a cell; work grows with it, and so does the share of pairs that are found."""
    probes: int = Field(ge=1, le=8)
    """Cells that a row is put into at every split."""
    seed: int
    """Key of the samples that centres are fitted on."""


class NearConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """When two different pictures count as one."""

    hashes: str
    """Column of 64-bit perceptual hashes."""
    bits: int = Field(ge=0, le=16)
    """Largest difference of hashes where hashes propose."""
    cosine: float = Field(ge=-1, le=1)
    """Smallest cosine of features that confirms; at -1 features are not asked."""
    same: tuple[str, ...]
    """Columns of words in which near-duplicates never differ."""
    parents: str | None
    """Column of lists: a row whose list is not empty was composed and is compared by exact hash alone."""
    cells: CellConfig | None
    """The other working point; None to let hashes alone propose."""


class DedupConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Which rows count as one, and which of them stays."""

    exact: str
    """Column that equal files have in common: a cryptographic hash of their bytes."""
    prefer: tuple[str, ...]
    """Columns of scores: of duplicates the row with the highest stays, earlier columns first; then the one with the lowest id."""
    near: NearConfig | None
    """Near-duplicates; None for exact ones only."""
    memory_bytes: int = Field(ge=1 << 20)
    """Budget for sorting hashes; above it they are spilled to files."""


def columns_of(config: DedupConfig) -> tuple[str, ...]:
    """Columns that duplicates are told by, features aside."""
    near = config.near
    words = () if near is None else (near.hashes, *near.same, *(() if near.parents is None else (near.parents,)))
    return tuple(dict.fromkeys((config.exact, *config.prefer, *words)))
