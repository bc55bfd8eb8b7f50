"""Limits of a taxonomy's leaves in the form in which a recipe for deciding takes them."""

from collections.abc import Mapping
from typing import Literal

from curation.taxonomy.leaves import Taxonomy

Limit = Literal["min_side_px", "min_sharpness", "min_alpha_cover", "max_text_area"]
"""Fields of `Thresholds` that one row can be asked about; those of duplicates are not among them."""


def limits_by_leaf(taxonomy: Taxonomy, limit: Limit) -> Mapping[str, float]:
    """The limits of the leaves that have one, for `AtLeast.by_leaf` and `AtMost.by_leaf`."""
    found = {leaf: getattr(taxonomy.thresholds_of(leaf), limit) for leaf in taxonomy.leaves}
    return {leaf: float(value) for leaf, value in found.items() if value is not None}
