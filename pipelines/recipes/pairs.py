"""Recipes of `seedbed pairs`."""

from curation.edits.composing import ComposeConfig
from curation.edits.scenes import LevelCounts, ScenesConfig
from curation.tables import TableRef
from infra.storage import Workspace
from pipelines.overrides import validated
from pipelines.pairs import PairsConfig
from pipelines.recipes.curate import DRAWINGS


def default(workspace: Workspace) -> PairsConfig:
    """Pairs found among all kept pictures, and about three composed pictures for each.

    Run:      seedbed pairs
    Hardware: two cores, about 25 ms a composed picture and core
    """
    return PairsConfig(
        images=TableRef(uri=workspace.uri("tables", "images.lance")),
        pairs=workspace.uri("tables", "pairs.lance"),
        categories=(),
        compose=ComposeConfig(backgrounds_per_image=1.2, mirrors_per_image=0.5, pastes_per_image=1.5, seed=0, size_px=128),
        max_references=2,
        rules=DRAWINGS,
        rows_per_fragment=128,
        workers=2,
    )


def scenes(workspace: Workspace) -> PairsConfig:
    """Scenes of sixteen things at three levels, with edits, compositions and sets; their pairs in a table of their own.

    Run:      seedbed pairs scenes
    Hardware: two cores, about 2 ms a scene to draw at 64 px, and 15 ms a scene and core to measure

    All scenes differ on purpose, many by one thing, so none is a duplicate. With `seedbed select scenes` next.
    """
    base = default(workspace)
    composed = ScenesConfig(
        scenes=LevelCounts(easy=2000, medium=3000, hard=1000), edits_per_scene=0.8, compositions=600, sets=600, size_px=64,
    )  # fmt: skip
    changed = {"pairs": workspace.uri("tables", "scene_pairs.lance"), "compose": composed.model_dump()}
    return validated(PairsConfig, {**base.model_dump(), **changed, "rules": {**DRAWINGS.model_dump(), "dedup": None}})


def controls(workspace: Workspace) -> PairsConfig:
    """As `default`, and for every picture its edges and a region to fill in, with the picture as their target.

    Run:      seedbed pairs controls
    Hardware: two cores, about 15 ms a map and core, and as much to measure it
    """
    base = default(workspace)
    compose = {**base.compose.model_dump(), "canny_per_image": 1.0, "masks_per_image": 1.0}
    return validated(PairsConfig, {**base.model_dump(), "compose": compose})
