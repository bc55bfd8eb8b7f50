"""How right a tool was on the corpus, from what it reported and the truth."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel

from pipelines.bench.corpus.render import Truth


class Filters(NamedTuple):
    """What a picture must reach to be kept in the filter leg."""

    min_side_px: int
    max_aspect: float
    min_bytes: int


class Reported(BaseModel, frozen=True, extra="ignore"):
    """What a tool says of the files; each tool reports what its leg asks for."""

    good: list[str] | None = None
    """Files it took for whole pictures."""
    kept: list[str] | None = None
    """Files that passed its filters and its deduplication."""
    pairs: list[tuple[str, str]] | None = None
    """Files it takes for one picture."""
    groups: list[list[str]] | None = None
    """The same as sets."""
    hashes: dict[str, str] | None = None
    """Perceptual hashes; equal ones are taken for one picture."""


def score(reported: Reported, truth: Truth, folder: Path, *, filters: Filters) -> dict[str, float]:
    """What can be said of the tool: bad files found, good ones refused, near duplicates, and what its filters left."""
    scores: dict[str, float] = {}
    if reported.good is not None:
        scores |= {
            "bad_found": len(truth.bad - set(reported.good)),
            "bad_total": len(truth.bad),
            "false_rejects": len(set(truth.clean) - set(reported.good)),
        }
    pairs = _pairs(reported)
    if pairs is not None:
        scores |= _near_scores(pairs, truth)
    if reported.kept is not None:
        scores |= _kept_scores(set(reported.kept), truth, folder, filters)
        if reported.good is None:
            scores |= {"bad_found": len(truth.bad - set(reported.kept)), "bad_total": len(truth.bad)}
    return scores


def _pairs(reported: Reported) -> Sequence[tuple[str, str]] | None:
    if reported.pairs is not None:
        return reported.pairs
    groups = reported.groups
    if reported.hashes is not None:
        groups = list(_by_value(reported.hashes).values())
    return None if groups is None else [pair for group in groups for pair in combinations(sorted(group), 2)]


def _near_scores(pairs: Sequence[tuple[str, str]], truth: Truth) -> dict[str, float]:
    """Recall of the planted near duplicates, and precision over all pairs; copies stand for their originals."""
    files = {one.name: one for one in truth.files}
    content = {name: one.original if one.kind == "exact" else name for name, one in files.items()}
    found = {frozenset((content[a], content[b])) for a, b in pairs if content[a] != content[b]}
    planted = {frozenset((one.name, one.original)) for one in truth.files if one.kind == "near"}
    scores = {"near_dup_recall": len(planted & found) / len(planted)}
    if found:
        scores["near_dup_precision"] = len(planted & found) / len(found)
    return scores


def _kept_scores(kept: set[str], truth: Truth, folder: Path, filters: Filters) -> dict[str, float]:
    """Of the pictures that pass the filters: how many are gone altogether, and how many are there more than once."""
    eligible = {
        one.name: one.original or one.name
        for one in truth.files
        if one.name in set(truth.clean)
        and min(one.size) >= filters.min_side_px
        and max(one.size) / min(one.size) <= filters.max_aspect
        and (folder / one.name).stat().st_size >= filters.min_bytes
    }
    left = [len(kept & set(group)) for group in _by_value(eligible).values()]
    return {
        "lost_pictures": left.count(0),
        "left_duplicates": sum(count - 1 for count in left if count > 1),
        "kept_against_filters": len(kept - set(eligible)),
    }


def _by_value(values: Mapping[str, str]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = defaultdict(list)
    for name, value in values.items():
        groups[value].append(name)
    return groups
