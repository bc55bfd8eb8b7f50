"""Scenes from a folder of pictures to samples: the jobs on a real table with a real local Ray."""

import io
import json
from pathlib import Path

import lance
import numpy as np
import pytest
from PIL import Image, ImageDraw

from curation.edits.scenes import LevelCounts, ScenesConfig
from curation.sources import FolderConfig
from curation.tables import TableRef
from infra.errors import UserError
from infra.session import Session
from models.perception.scene_truth import SceneTruth
from pipelines import caption, curate, ingest, pairs, select
from pipelines.overrides import validated
from pipelines.recipes import pairs as pairs_recipes
from pipelines.recipes import select as select_recipes
from pipelines.recipes.curate import DRAWINGS

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("local_ray")]

NAMES = ("kite", "tent", "shield", "lamp", "boat", "crown")
COUNTS = {"scenes": {"easy": 12, "medium": 12, "hard": 4}, "edits_per_scene": 0.5, "compositions": 4, "sets": 4}


def _drawing(seed: int) -> bytes:
    """A filled shape of its own colour, opaque over more than a third of the picture."""
    draws = np.random.default_rng(seed)
    angles = np.sort(draws.uniform(0, 2 * np.pi, 3 + seed))
    radii = draws.uniform(34, 46, len(angles))
    corners = [(48 + r * np.cos(a), 48 + r * np.sin(a)) for a, r in zip(angles, radii, strict=True)]
    image = Image.new("RGBA", (96, 96), (0, 0, 0, 0))
    pen = ImageDraw.Draw(image)
    pen.ellipse((14, 14, 82, 82), fill=("brown", "teal", "gold", "navy", "coral", "olive")[seed])
    pen.polygon(corners, outline="black", width=3)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def curated(tmp_path: Path, session: Session) -> TableRef:
    folder = tmp_path / "pictures"
    folder.mkdir()
    lines = []
    for seed, name in enumerate(NAMES):
        (folder / f"{name}.png").write_bytes(_drawing(seed))
        lines.append({"file": f"{name}.png", "text_en": name, "concept": name, "style": "flat", "category": "things"})
    (folder / "captions.jsonl").write_text("\n".join(map(json.dumps, lines)))
    source = FolderConfig(path=str(folder), heldout_share=0.0)
    uri = session.workspace.uri("tables", "images.lance")
    ingest.run(ingest.IngestConfig(source=source, images=uri, rows_per_fragment=6, workers=1), session)
    curate.run(curate.CurateConfig(images=TableRef(uri=uri), rules=DRAWINGS, workers=1), session)
    captioned = caption.run(caption.CaptionConfig(images=TableRef(uri=uri), workers=1), session)
    return TableRef(uri=uri, version=int(captioned.outputs["version"]))


def _config(images: TableRef, session: Session, **changes: object) -> pairs.PairsConfig:
    recipe = pairs_recipes.scenes(session.workspace).model_dump()
    compose = {**recipe["compose"], **COUNTS, "num_things": 6, "photos": (), "heldout_ratio": 0.25, **changes}
    changed = {"images": images.model_dump(), "compose": compose, "rows_per_fragment": 32, "workers": 1}
    return validated(pairs.PairsConfig, {**recipe, **changed})


def test_scenes_become_samples_and_a_second_time_nothing_is_done(curated: TableRef, session: Session) -> None:
    made = pairs.run(_config(curated, session), session)
    rows = lance.dataset(made.outputs["images"]).to_table(filter="source = 'scene'").to_pylist()
    assert len(rows) == made.metrics["pairs/composed_images"] >= 28
    for row in rows:
        truth = SceneTruth.model_validate_json(row["derivation"])
        assert row["verdict"] == "kept"
        assert row["subcategory"] == truth.level
        assert all(each.name_en in row["captions_en"][1].lower() for each in truth.things)
        assert row["captions_zh"] == ["", "", ""], "the names have no Chinese"
    chosen = select.run(select_recipes.scenes(session.workspace), session)
    samples = lance.dataset(chosen.outputs["selection"]).to_table().to_pylist()
    splits = {row["id"]: row["split"] for row in rows}
    assert {sample["task"] for sample in samples} == {"t2i", "edit", "compose", "set"}
    assert {sample["target_id"] for sample in samples if sample["task"] == "t2i"} == set(splits)
    for sample in samples:
        shown = {splits[each] for each in (sample["target_id"], *sample["reference_ids"], *sample["further_ids"])}
        assert sample["split"] == ("heldout" if "heldout" in shown else "train")
        assert bool(sample["further_ids"]) is (sample["task"] == "set")
    version = lance.dataset(made.outputs["images"]).version
    assert pairs.run(_config(curated, session), session) == made
    assert lance.dataset(made.outputs["images"]).version == version
    with pytest.raises(UserError, match=r"scenes: \['castle'\] are no training pictures"):
        pairs.run(_config(curated, session, things=("kite", "castle")), session)


def test_the_recipe_says_what_it_makes(session: Session) -> None:
    compose = pairs_recipes.scenes(session.workspace).compose
    assert isinstance(compose, ScenesConfig)
    assert compose.scenes == LevelCounts(easy=2000, medium=3000, hard=1000)
