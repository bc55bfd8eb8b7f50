"""Scenes of ten foods, small enough to plan and draw in a second; made once a test run."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from curation.decode import decode, fit_square, on_background
from curation.edits.scene_drawing import cutout, draw_scene
from curation.edits.scene_things import Thing, candidates, measured
from curation.edits.scenes import LevelCounts, Scene, ScenePlan, ScenesConfig, grounds_of, plan_scenes
from curation.sources import EmojiConfig, build, listed
from models.perception.scene_truth import SceneTruth

CONFIG = ScenesConfig(
    scenes=LevelCounts(easy=150, medium=150, hard=60), edits_per_scene=0.5, compositions=30, sets=40, num_things=10, size_px=64,
    heldout_ratio=0.2, seed=3,
)  # fmt: skip


class Corpus(NamedTuple):
    """A plan and what it takes to draw it."""

    things: list[Thing]
    encoded: dict[str, bytes]
    """Pictures by id."""
    cutouts: dict[str, np.ndarray]
    planned: ScenePlan

    @property
    def scenes(self) -> dict[str, Scene]:
        """By id."""
        return {scene.id: scene for scene in self.planned.scenes}

    def draw(self, truth: SceneTruth) -> np.ndarray:
        """The scene's pixels."""
        return draw_scene(truth, self.cutouts)


@cache
def foods() -> pa.Table:
    """Flat food with what planning reads of it; a small picture stands in for its features."""
    with TemporaryDirectory() as folder:
        source = build(EmojiConfig(categories=("Food & Drink",), render_px=48), cache_dir=Path(folder))
        rows = [row for row in listed(source).to_pylist() if row["style"] == "flat"]
        pictures = source.read([row["locator"] for row in rows])
    food = pa.Table.from_pylist([row | {"image": picture} for row, picture in zip(rows, pictures, strict=True)])
    rgba = [decode(each) for each in food["image"].to_pylist()]
    covers = [float((each[..., 3] > 127).mean()) for each in rgba]
    features = [on_background(fit_square(each, 8)).astype(np.float32).ravel() - 128 for each in rgba]
    return food.append_column("alpha_cover", pa.array(covers, pa.float32())).append_column("image_features", [features])


@cache
def corpus() -> Corpus:
    """The plan of `CONFIG` for `foods`."""
    images = foods()
    encoded = dict(zip(images["id"].to_pylist(), images["image"].to_pylist(), strict=True))
    chosen = candidates(images, None, style="flat", num=CONFIG.num_things)
    things = [measured(parent, encoded[parent.picture.id], grounds_of(CONFIG)) for parent in chosen]
    return Corpus(things, encoded, {thing.id: cutout(encoded[thing.id]) for thing in things}, plan_scenes(things, CONFIG))
