"""The leaf of a taxonomy that a row belongs to, as two signals: what is measured, and what is read off it.

``leaf_scores`` holds how well a row fits each leaf (`curation.signals.taxonomy`), ``leaf`` the one it belongs to: another limit
for belonging reads the scores again and measures nothing. A row that has scores of an earlier taxonomy is asked only about the
leaves that are new or changed since, and keeps the scores of all others; which leaves those are is told by the earlier version's
digests, which the caller keeps (`digests_of`). A version that nobody remembers is measured in full.

b rows · d width of the features
"""

from collections.abc import Mapping
from functools import cache, partial
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float32
from pydantic import BaseModel

from curation.decode import Scaled, Undecodable, decode_scaled
from curation.signals import features
from curation.signals.contract import VIEW_SIDE_PX, Batch, Compute, Signal, version_of
from curation.signals.features import FeatureNetwork
from curation.signals.taxonomy import MINILM_SCORING, Captions, LeafScorer, MiniLm, ScoringConfig
from curation.taxonomy.assignment import LEAF_SCHEMA, LEAF_SCORES, AssignmentConfig, assign, merge_scores, missing_leaves
from curation.taxonomy.leaves import Taxonomy
from curation.taxonomy.loading import load_taxonomy
from infra.errors import UserError

CODE_VERSION = 1
"""Raised when the same scores would be read differently."""

SCORES = "leaf_scores"
SCORES_SCHEMA = pa.schema([pa.field(SCORES, LEAF_SCORES)])


class LeafConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """The leaf of every row."""

    kind: Literal["leaf"] = "leaf"
    folders: tuple[str, ...] = ()
    """Folders of a taxonomy, later files replacing earlier ones, that every worker sees; the shipped taxonomy when empty."""
    scoring: ScoringConfig = MINILM_SCORING
    """How evidence becomes scores."""
    embedder: Literal["minilm"] | None
    """What compares captions with leaves; None for keywords alone, which costs next to nothing and knows both languages."""
    samples: str | None = None
    """Folder with pictures of leaves, ``DOMAIN/LEAF/*``, that rows' features are compared with; None for none."""
    assignment: AssignmentConfig
    """When a row belongs to a leaf."""


def taxonomy_of(config: LeafConfig) -> Taxonomy:
    """The taxonomy that the configuration names.

    Raises:
        BadTaxonomy: its files contradict their form or each other.
    """
    return load_taxonomy(*map(Path, config.folders))


def digests_of(config: LeafConfig) -> Mapping[str, str]:
    """For every leaf, the digest of all that its scores depend on besides the rows."""
    return {
        leaf: version_of(leaf=digest, features=features.SIGNAL.version) if config.samples else digest
        for leaf, digest in _scorer(config, _samples(config)).digests().items()
    }


def scores_version(digests: Mapping[str, str]) -> str:
    """The version of scores of leaves with these digests."""
    return version_of(leaves=dict(digests))


def leaf_signal(config: LeafConfig, digests: Mapping[str, str], *, earlier: Mapping[str, Mapping[str, str]]) -> Signal:
    """The signal that fills LEAF_SCHEMA, after the one that fills ``leaf_scores``.

    Args:
        digests: `digests_of` the configuration.
        earlier: digests of leaves by the version of scores that were made with them.
    """
    stale = {version: missing_leaves(known, digests) for version, known in earlier.items()}
    seen = ("image_features",) if config.samples else ()
    scores = Signal(
        name=SCORES, version=scores_version(digests), outputs=SCORES_SCHEMA,
        inputs=("text_en", "text_zh", SCORES, f"{SCORES}_version", f"{SCORES}_error", *seen),
        build=partial(_Scoring, config, stale), after=(features.SIGNAL,) if config.samples else (), batch_rows=256,
    )  # fmt: skip
    return Signal(
        name="leaf", version=version_of(code=CODE_VERSION, scores=scores.version, assignment=config.assignment.model_dump()),
        inputs=(SCORES,), outputs=LEAF_SCHEMA, build=partial(_reading, config.assignment), after=(scores,), batch_rows=1024,
    )  # fmt: skip


class _Scoring:
    """Scores rows for the leaves that they lack.

    The first batch also embeds the texts of the leaves to score: 1,612 for all that are shipped, 11 s of one core.
    """

    def __init__(self, config: LeafConfig, stale: Mapping[str, tuple[str, ...]]) -> None:
        self._config, self._stale = config, stale
        self._samples = _samples(config)
        self._leaves = tuple(taxonomy_of(config).leaves)
        self._scorers: dict[tuple[str, ...], LeafScorer] = {}

    def __call__(self, batch: Batch) -> dict[str, pa.Array]:
        """All scores of the rows, earlier ones among them."""
        versions = pc.if_else(pc.is_valid(batch.rows[f"{SCORES}_error"]), None, batch.rows[f"{SCORES}_version"])  # pyright: ignore[reportAttributeAccessIssue] - made at import
        missing = [self._stale.get(version, self._leaves) for version in versions.to_pylist()]
        parts, places = [], []
        for leaves in dict.fromkeys(missing):
            rows = np.array([place for place, one in enumerate(missing) if one == leaves])
            parts.append(self._scored(batch.rows.take(pa.array(rows)), leaves))
            places.append(rows)
        order = np.argsort(np.concatenate(places))
        return {SCORES: pa.concat_arrays(parts).take(pa.array(order))}

    def _scored(self, rows: pa.Table, leaves: tuple[str, ...]) -> pa.ListArray:
        stored = rows[SCORES].combine_chunks()
        fresh = self._fresh(rows, leaves) if leaves else pa.nulls(len(stored), LEAF_SCORES)
        return merge_scores(stored, fresh, measured=leaves, leaves=self._leaves)

    def _fresh(self, rows: pa.Table, leaves: tuple[str, ...]) -> pa.ListArray:
        if leaves not in self._scorers:
            self._scorers[leaves] = _scorer(self._config, self._samples, leaves)
        captions = Captions(*([text or "" for text in rows[name].to_pylist()] for name in ("text_en", "text_zh")))
        found = _found(rows) if self._samples else None
        return self._scorers[leaves].scores(captions, features=found)


def _reading(config: AssignmentConfig) -> Compute:
    def compute(batch: Batch) -> dict[str, pa.Array]:
        table = assign(batch.rows[SCORES].combine_chunks(), config)
        return {name: table[name].combine_chunks() for name in LEAF_SCHEMA.names}

    return compute


def _scorer(
    config: LeafConfig, samples: Mapping[str, Float32[np.ndarray, "_ d"]], leaves: tuple[str, ...] | None = None
) -> LeafScorer:
    embedder = MiniLm() if config.embedder == "minilm" else None
    return LeafScorer(taxonomy_of(config), config.scoring, embedder=embedder, seeds=samples, leaves=leaves)


def _samples(config: LeafConfig) -> Mapping[str, Float32[np.ndarray, "_ d"]]:
    """Features of the sample pictures by leaf.

    Raises:
        UserError: there are none, one cannot be read, or a folder is named for no leaf.
    """
    if config.samples is None:
        return {}
    folder, known = Path(config.samples), taxonomy_of(config).leaves
    files = sorted(file for file in folder.glob("*/*/*") if file.is_file())
    if not files:
        raise UserError(f"no sample pictures in {folder}; put them into DOMAIN/LEAF/ below it")
    by_leaf: dict[str, list[Path]] = {}
    for file in files:
        by_leaf.setdefault(f"{file.parent.parent.name}/{file.parent.name}", []).append(file)
    unknown = sorted(set(by_leaf) - set(known))
    if unknown:
        raise UserError(f"sample pictures in {folder / unknown[0]}, but the taxonomy has no leaf {unknown[0]}; rename the folder")
    views = {leaf: features.square_views([_sample(file) for file in found]) for leaf, found in by_leaf.items()}
    return {leaf: _network().of_pixels(np.stack(pictures)) for leaf, pictures in views.items()}


@cache
def _network() -> FeatureNetwork:
    from models.perception.efficientnet import LiteFeatures  # heavy: only needed where there are samples

    return LiteFeatures.load()


def _sample(file: Path) -> Scaled:
    try:
        return decode_scaled(file.read_bytes(), VIEW_SIDE_PX)
    except Undecodable as error:
        raise UserError(f"sample {file} is no picture that can be read ({error.reason}: {error}); remove it") from error


def _found(rows: pa.Table) -> Float32[np.ndarray, "b d"]:
    """Features of the rows, NaN where there are none."""
    known, is_known = features.known_features(rows)
    found = np.full((len(is_known), known.shape[1]), np.nan, dtype=np.float32)
    found[is_known] = known
    return found
