"""Recipes of `seedbed select`."""

from curation.captions.mixing import CaptionMix, CaptionShare, LevelWeights
from curation.selections import SelectRules, TaskRule
from curation.tables import TableRef
from infra.storage import Workspace
from pipelines.overrides import validated
from pipelines.select import SelectConfig

ALL = TaskRule(max_train=None, max_heldout=None, weight=1.0)
"""Every sample there is, each as often as any other."""

_LEVELS = LevelWeights(short=1.0, medium=1.0, long=1.0)
ENGLISH = CaptionMix(shares=(CaptionShare(language="en", weight=1.0, levels=_LEVELS),))
"""The structured captions, a third of the time each: what people type, a sentence, and details."""
BOTH_LANGUAGES = CaptionMix(
    shares=(CaptionShare(language="en", weight=0.7, levels=_LEVELS), CaptionShare(language="zh", weight=0.3, levels=_LEVELS))
)
"""The same in both languages, English first: evaluation asks in it."""


def default(workspace: Workspace) -> SelectConfig:
    """Every kept picture that was not composed, for all tasks, told in English and Chinese.

    Run:      seedbed select
    Hardware: one core, seconds
    """
    return SelectConfig(
        name="all",
        images=TableRef(uri=workspace.uri("tables", "images.lance")),
        pairs=TableRef(uri=workspace.uri("tables", "pairs.lance")),
        rules=SelectRules(
            categories=(), styles=(), max_concepts=None, shown_sources=("emoji", "folder"), t2i=ALL, edit=ALL,
            compose=ALL, sets=ALL, captions=BOTH_LANGUAGES, seed=0,
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


def english(workspace: Workspace) -> SelectConfig:
    """The same in English alone, for generators that read by MiniLM.

    Run:      seedbed select english
    Hardware: one core, seconds
    """
    config = default(workspace)
    rules = {**config.rules.model_dump(), "captions": ENGLISH}
    return validated(SelectConfig, {**config.model_dump(), "name": "english", "rules": rules})
