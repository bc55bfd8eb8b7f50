"""Recipes of `seedbed curate`."""

from curation.dedup.rule import DedupConfig, NearConfig
from curation.predicates import AtLeast, TextLength
from curation.signals import SIGNALS
from curation.tables import TableRef
from curation.verdict import DecisionConfig, Failed
from infra.storage import Workspace
from pipelines.curate import CurateConfig

DRAWINGS = DecisionConfig(
    leaf="category",
    quarantine=Failed(
        columns=tuple(one.error_column for one in SIGNALS),
        reasons=("unreadable", "too_large", "crashed", "taken_down"), otherwise="failed",
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
    return CurateConfig(images=TableRef(uri=workspace.uri("tables", "images.lance")), rules=DRAWINGS, workers=2)
