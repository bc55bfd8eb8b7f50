"""Recipes of `seedbed curate`."""

from collections.abc import Sequence

from curation.balance import QuotaConfig
from curation.dedup.rule import CellConfig, DedupConfig, NearConfig
from curation.predicates import AtLeast, AtMost, NoneOf, Predicate, TextLength
from curation.signals import SIGNALS, SignalName
from curation.signals.alignment import AlignmentConfig, HeadModel
from curation.signals.knowledge_quality import KnowledgeQualityConfig
from curation.signals.leaves import LeafConfig, taxonomy_of
from curation.tables import TableRef
from curation.taxonomy.assignment import AssignmentConfig
from curation.taxonomy.leaves import Taxonomy
from curation.taxonomy.limits import limits_by_leaf
from curation.verdict import DecisionConfig, Failed
from infra.storage import Workspace
from pipelines.curate import CurateConfig
from pipelines.overrides import validated

_REASONS = ("unreadable", "too_large", "crashed", "taken_down")
"""Classes of errors that are reasons themselves."""

DRAWINGS = DecisionConfig(
    leaf="category",
    quarantine=Failed(
        columns=tuple(one.error_column for one in SIGNALS),
        reasons=_REASONS, otherwise="failed",
    ),
    drop=(
        AtLeast(reason="too_small", columns=("width_px", "height_px"), limit=32),
        AtLeast(reason="blank", columns=("alpha_cover",), limit=0.01),
        AtLeast(reason="blurred", columns=("sharpness",), limit=5.0),
        TextLength(reason="no_text", column="text_en", low=1, high=None),
    ),
    dedup=DedupConfig(
        exact="exact_hash",
        prefer=("width_px", "height_px"),
        near=NearConfig(
            hashes="perceptual_hash",
            bits=2,
            cosine=0.99,
            same=("style", "tone", "gender", "colour"),
            parents="parents",
            cells=None,
        ),
        memory_bytes=1 << 30,
    ),
    features="image_features",
    balance=None,
    quotas=None,
    seed=0,
)
"""For drawings on transparent ground: edges make them far sharper than photographs. Duplicates of drawings are not cropped, so
hashes alone propose them; pictures that differ in a word that edits are learned from are never duplicates."""


def default(workspace: Workspace) -> CurateConfig:
    """The table `images`, with rules for drawings.

    Run:      seedbed curate
    Hardware: two cores, about 15 ms a picture and core
    """
    return CurateConfig(images=_images(workspace), rules=DRAWINGS, workers=2)


def photographs(workspace: Workspace) -> CurateConfig:
    """The table `images`, with rules for photographs and other large pictures from anywhere.

    Run:      seedbed ingest --source folder:PATH && seedbed curate photographs
    Hardware: two cores, about 150 ms a picture and core (90 text in pictures, 35 safety), and 11 s a worker to embed the taxonomy
    Expect:   a leaf for every picture whose text names one; `seedbed sweep scenarios` then cuts leaves to their shares

    Limits, and where they come from:
    * `too_small` 256 px, the least that training buckets take, and `blurred` 20; leaves have their own (animals need 512 px, a
      chart may be smooth). Photographs of scikit-image have 530 to 1,800, blurred by 1/128 of their width 3 to 30.
    * `unsafe` above 0.2: its authors' limit for what is surely safe. It costs some beaches and portraits.
    * `overlaid` from a fifth on, as Seedream 3.0. Below, a picture stays with its `text_boxes`, for training to mask the defects.
    * `too_much_text` above 0.3, and up to 0.95 where the leaf is about text (pages, posters).
    * Texts that say nothing of their picture would be learnt. Where a model writes captions anew, the last three can go.
    """
    leaf = LeafConfig(embedder="minilm", assignment=AssignmentConfig(min_score=0.4, max_further=3))
    named: tuple[SignalName, ...] = ("hashes", "appearance", "features", "text_language", "text_quality", "nsfw", "overlay")
    rules = DecisionConfig(
        leaf="leaf", quarantine=_failed((*named, "leaf_scores", "leaf")), drop=_photograph_limits(taxonomy_of(leaf)),
        dedup=_PHOTOGRAPHED_TWICE, features="image_features", balance=None, quotas=None, seed=0,
    )  # fmt: skip
    return CurateConfig(images=_images(workspace), signals=(*named, leaf), rules=rules, workers=2)


def aligned(workspace: Workspace) -> CurateConfig:
    """As photographs, without those whose text the newest contrastive head finds to be about something else.

    Run:      seedbed curate aligned
    Hardware: as photographs, and 5 ms a picture
    Expect:   with the demo's head on 400 of its drawings, some of them fitted on, -0.1 loses 4.5 % of right and 11 % of wrong
              texts, 0.1 loses 34 % and 71 %. A better head separates more: set the limit by `seedbed sweep`
    """
    from pipelines.recipes import latest  # heavy: reads bundles; the other recipes measure without

    base = photographs(workspace)
    head = AlignmentConfig(model=HeadModel(bundle=latest.bundle(workspace, "contrastive")))
    fits = AtLeast(reason="misaligned", columns=("alignment",), limit=-0.1, when_null="keep")
    rules = {**base.rules.model_dump(), "drop": (*base.rules.drop, fits)}
    return validated(CurateConfig, {**base.model_dump(), "signals": (*base.signals, head), "rules": rules})


def knowledge(workspace: Workspace) -> CurateConfig:
    """Charts, formulas, maps and figures, drawn or out of documents: the good ones, and few of the hard ones.

    Run:      seedbed ingest --source pdf:FOLDER && seedbed curate knowledge
    Hardware: two cores, about 200 ms a picture and core
    Expect:   98 of 100 good and flawed drawn pictures told apart; levels are rougher (`curation/knowledge/quality.json`)

    Extreme pictures teach little: of hard ones at most 3,000 stay, chosen by a keyed draw; Seedream 4.0 thins them, too.
    """
    named: tuple[SignalName, ...] = ("hashes", "appearance", "features", "text_quality")
    quality = KnowledgeQualityConfig()
    rules = DecisionConfig(
        leaf="category", quarantine=_failed((*named, quality.kind)),
        drop=(
            AtLeast(reason="too_small", columns=("width_px", "height_px"), limit=128),
            AtMost(reason="low_quality", columns=("low_quality",), limit=0.5, when_null="keep"),
            NoneOf(reason="no_text", column="text_quality_kind", values=("empty",)),
        ),
        dedup=DRAWINGS.dedup, features=DRAWINGS.features, balance=None, seed=0,
        quotas=QuotaConfig(column="difficulty", rows=(("hard", 3000),), otherwise=None),
    )  # fmt: skip
    return CurateConfig(images=_images(workspace), signals=(*named, quality), rules=rules, workers=2)


_PHOTOGRAPHED_TWICE = DedupConfig(
    exact="exact_hash",
    prefer=("width_px", "height_px", "sharpness"),
    near=NearConfig(
        hashes="perceptual_hash", bits=4, cosine=0.9, same=(), parents="parents",
        cells=CellConfig(cosine=0.97, bits=20, rows=1024, probes=2, seed=0),
    ),
    memory_bytes=1 << 30,
)  # fmt: skip
"""Copies of a photograph differ in at most 4 bits (`curation.signals.hashes`); cropped ones only features find."""


def _photograph_limits(taxonomy: Taxonomy) -> tuple[Predicate, ...]:
    sides, sharpness = limits_by_leaf(taxonomy, "min_side_px"), limits_by_leaf(taxonomy, "min_sharpness")
    return (
        AtLeast(reason="too_small", columns=("width_px", "height_px"), limit=256, by_leaf=sides),
        AtLeast(reason="blurred", columns=("sharpness",), limit=20, by_leaf=sharpness),
        AtMost(reason="unsafe", columns=("nsfw_score",), limit=0.2),
        AtMost(reason="overlaid", columns=("defect_area",), limit=0.2),
        AtMost(reason="too_much_text", columns=("text_area",), limit=0.3, by_leaf=limits_by_leaf(taxonomy, "max_text_area")),
        NoneOf(reason="no_text", column="text_quality_kind", values=("empty",)),
        NoneOf(reason="foreign_text", column="text_language", values=("other",)),
        NoneOf(reason="bad_text", column="text_quality_kind", values=("garbled", "repetitive", "boilerplate", "file_name")),
    )


def _failed(names: Sequence[str]) -> Failed:
    """Rows are set aside when any of these signals failed."""
    return Failed(columns=tuple(f"{name}_error" for name in names), reasons=_REASONS, otherwise="failed")


def _images(workspace: Workspace) -> TableRef:
    return TableRef(uri=workspace.uri("tables", "images.lance"))
