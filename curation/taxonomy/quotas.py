"""How many pictures of each leaf a corpus of a given size takes.

Every leaf wants its share of the total. A leaf that has fewer gives all it has, and what it leaves is spread over the others
in proportion to their shares, again bounded by what they have (water-filling). What is left of whole numbers goes by largest
remainder (Hamilton 1792), equal remainders by leaf id. Exact fractions throughout: no draw, no rounding that depends on order.
"""

from collections.abc import Collection, Mapping
from fractions import Fraction
from typing import NamedTuple

from curation.balance import QuotaConfig
from curation.taxonomy.leaves import Taxonomy


class Starving(NamedTuple):
    """A leaf with fewer pictures than its share asks for."""

    leaf: str
    wanted: int
    found: int


class LeafQuotas(NamedTuple):
    """Pictures to take."""

    targets: Mapping[str, int]
    """By leaf, for every leaf of the taxonomy; never more than are available."""
    starving: tuple[Starving, ...]
    """Leaves that could not give what they wanted, the greatest lack first."""
    unmet: int
    """Pictures that the total asks for and no leaf has; 0 unless all leaves together hold too few."""


def leaf_quotas(total: int, taxonomy: Taxonomy, *, available: Mapping[str, int]) -> LeafQuotas:
    """Targets per leaf that add up to the total, or to all that is available if that is less.

    Args:
        total: pictures wanted in all.
        taxonomy: whose shares are the target.
        available: pictures that can be had by leaf; a leaf left out has none.

    Raises:
        ValueError: a negative total or count, or counts for a leaf that the taxonomy has not.
    """
    _check_counts(total, taxonomy, available)
    shares = {leaf: Fraction(str(share)) for leaf, share in sorted(taxonomy.shares.items())}
    stock = {leaf: available.get(leaf, 0) for leaf in shares}
    targets = _water_filled(total, shares, stock)
    wanted = _apportioned(total, shares)
    lacks = [Starving(leaf, wanted[leaf], stock[leaf]) for leaf in shares if stock[leaf] < wanted[leaf]]
    starving = tuple(sorted(lacks, key=lambda lack: (lack.found - lack.wanted, lack.leaf)))
    return LeafQuotas(targets, starving, total - sum(targets.values()))


def quotas_in(column: str, quotas: LeafQuotas) -> QuotaConfig:
    """The targets as a rule over a column of leaves; rows that belong to none of them are none of the corpus."""
    return QuotaConfig(column=column, rows=tuple(quotas.targets.items()), otherwise=0)


def _check_counts(total: int, taxonomy: Taxonomy, available: Mapping[str, int]) -> None:
    if total < 0:
        raise ValueError(f"total is {total}, expected 0 or more pictures")
    unknown = sorted(set(available) - set(taxonomy.shares))
    if unknown:
        missing = f"which taxonomy {taxonomy.version} has not; assign rows with this taxonomy"
        raise ValueError(f"counts for {', '.join(unknown)}, {missing}")
    negative = sorted(leaf for leaf, count in available.items() if count < 0)
    if negative:
        raise ValueError(f"negative counts for {', '.join(negative)}, expected 0 or more pictures")


def _water_filled(total: int, shares: Mapping[str, Fraction], stock: Mapping[str, int]) -> dict[str, int]:
    """Whole targets in proportion to the shares, none above its stock."""
    targets: dict[str, int] = {}
    open_leaves = set(shares)
    left = total
    while open_leaves:
        level = Fraction(left) / sum(shares[leaf] for leaf in open_leaves)
        exhausted = {leaf for leaf in open_leaves if stock[leaf] <= shares[leaf] * level}
        if not exhausted:
            break
        targets |= {leaf: stock[leaf] for leaf in exhausted}
        left -= sum(stock[leaf] for leaf in exhausted)
        open_leaves -= exhausted
    return dict(sorted((targets | _apportioned(left, _only(shares, open_leaves))).items()))


def _apportioned(total: int, shares: Mapping[str, Fraction]) -> dict[str, int]:
    """Whole numbers in proportion to the shares that add up to the total, by largest remainder."""
    if not shares:
        return {}
    level = Fraction(total) / sum(shares.values())
    exact = {leaf: share * level for leaf, share in shares.items()}
    counts = {leaf: int(number) for leaf, number in exact.items()}
    by_remainder = sorted(shares, key=lambda leaf: (counts[leaf] - exact[leaf], leaf))
    for leaf in by_remainder[: total - sum(counts.values())]:
        counts[leaf] += 1
    return counts


def _only(shares: Mapping[str, Fraction], leaves: Collection[str]) -> dict[str, Fraction]:
    return {leaf: share for leaf, share in shares.items() if leaf in leaves}
