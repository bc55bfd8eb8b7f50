"""Recipes of `seedbed select`."""

from curation.captions.mixing import CaptionMix, CaptionShare, LevelWeights
from curation.selections import SelectRules, TaskRule
from curation.tables import TableRef
from infra.storage import Workspace
from pipelines.overrides import validated
from pipelines.select import SelectConfig

ALL = TaskRule(max_train=None, max_heldout=None, weight=1.0)
"""Every sample there is, each as often as any other."""

ENGLISH = CaptionMix(
    shares=(CaptionShare(language="en", weight=1.0, levels=LevelWeights(short=1.0, medium=1.0, long=1.0)),)
)
"""The structured captions, a third of the time each: what people type, a sentence, and details."""


def default(workspace: Workspace) -> SelectConfig:
    """Every kept picture that was not composed, for all three tasks.

    Run:      seedbed select
    Hardware: one core, seconds
    """
    return SelectConfig(
        name="all",
        images=TableRef(uri=workspace.uri("tables", "images.lance")),
        pairs=TableRef(uri=workspace.uri("tables", "pairs.lance")),
        rules=SelectRules(
            categories=(), styles=(), max_concepts=None, shown_sources=("emoji", "folder"), t2i=ALL, edit=ALL,
            compose=ALL, sets=ALL, captions=ENGLISH, seed=0,
        ),
    )  # fmt: skip


def scenes(workspace: Workspace) -> SelectConfig:
    """Every composed scene, for all four tasks.

    Run:      seedbed select scenes
    Hardware: one core, seconds
    """
    base = default(workspace).model_dump()
    changed = {"name": "scenes", "pairs": {"uri": workspace.uri("tables", "scene_pairs.lance")}}
    return validated(SelectConfig, {**base, **changed, "rules": {**base["rules"], "shown_sources": ("scene",)}})
