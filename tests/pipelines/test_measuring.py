"""What a recipe asks for is what is measured, in the order in which one signal needs another."""

import io
import shutil
from pathlib import Path
from typing import get_args

import lance
import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from curation import commit
from curation.signals import BY_DEFAULT, NAMED, SIGNALS, SignalName
from curation.signals.contract import Batch, Compute, Signal, in_waves
from curation.signals.knowledge_quality import KnowledgeQualityConfig
from curation.signals.leaves import LeafConfig
from curation.tables import IMAGES_SCHEMA, TableRef, pin
from curation.taxonomy.assignment import LEAF_SCORES, AssignmentConfig
from curation.taxonomy.loading import SHIPPED
from curation.verdict import DecisionConfig, Failed
from infra.session import Session
from infra.storage import Workspace
from pipelines.curate import CurateConfig, run
from pipelines.measuring import signals_of

TEXTS = ("a red apple on a wooden table", "IMG_2034.jpg", "木桌上的红苹果")
ASSIGNMENT = AssignmentConfig(min_score=0.5, max_further=3)
KEEP_ALL = DecisionConfig(
    leaf="category", quarantine=Failed(columns=(), reasons=(), otherwise="failed"), drop=(), dedup=None,
    features="image_features", balance=None, quotas=None, seed=0,
)  # fmt: skip


def _png(seed: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (40, 60, 3), np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def images(session: Session) -> TableRef:
    empty = {field.name: [] if pa.types.is_list(field.type) else "" for field in IMAGES_SCHEMA}
    rows = [empty | {"id": f"x/{place}", "image": _png(place), "text_en": text} for place, text in enumerate(TEXTS)]
    rows[2] |= {"text_en": "", "text_zh": TEXTS[2]}
    uri = session.workspace.uri("tables", "images.lance")
    commit.create(uri, IMAGES_SCHEMA)
    lance.write_dataset(pa.Table.from_pylist(rows, schema=IMAGES_SCHEMA), uri, mode="append")
    return pin(TableRef(uri=uri))


def adding(name: str, column: str, *, after: tuple[Signal, ...] = (), version: str = "v1") -> Signal:
    """Fills `name` with the length of `column`, a text or a number, plus one."""

    def compute(batch: Batch) -> dict[str, pa.Array]:
        lengths = [len(one) if isinstance(one, str) else one for one in batch.rows[column].to_pylist()]
        return {name: pa.array([1 + length for length in lengths], pa.int64())}

    def build() -> Compute:
        return compute

    schema = pa.schema([pa.field(name, pa.int64())])
    return Signal(name=name, version=version, inputs=(column,), outputs=schema, build=build, after=after)


def test_every_name_that_a_recipe_may_give_stands_for_a_signal_with_columns_of_its_own(workspace: Workspace) -> None:
    names = get_args(SignalName)
    assert [one.name for one in signals_of(names, workspace)] == list(names) == list(NAMED)
    assert signals_of(BY_DEFAULT, workspace) == list(SIGNALS)
    configured = (KnowledgeQualityConfig(), LeafConfig(embedder=None, assignment=ASSIGNMENT))
    columns = [name for one in signals_of((*names, *configured), workspace) for name in one.schema.names]
    assert len(set(columns)) == len(columns)


def test_what_a_signal_comes_after_is_computed_before_it_and_once() -> None:
    first = adding("first", "text_en")
    second, third = adding("second", "first", after=(first,)), adding("third", "text_zh")
    fourth = adding("fourth", "second", after=(second, first))
    waves = in_waves([fourth, second, third])
    assert [[one.name for one in wave] for wave in waves] == [["first", "third"], ["second"], ["fourth"]]
    with pytest.raises(ValueError, match="two signals are called 'first', versions v1 and v2"):
        in_waves([second, adding("first", "text_en", version="v2")])


def test_a_workspace_remembers_what_leaves_were_scored_for(workspace: Workspace, tmp_path: Path) -> None:
    own = tmp_path / "own"
    shutil.copytree(SHIPPED, own)
    config = LeafConfig(folders=(str(own),), embedder=None, assignment=ASSIGNMENT)
    before, _ = signals_of([config], workspace)
    animals = (own / "animals.yaml").read_text(encoding="utf-8")
    (own / "animals.yaml").write_text(animals.replace("en: [cat, ", "en: [mouser, cat, "), encoding="utf-8")
    scores, _ = signals_of([config], workspace)
    stored = pa.array([[{"leaf": "food/fruit", "score": 0.5}]], LEAF_SCORES)
    rows = {"text_en": ["a mouser and a bar chart"], "text_zh": [""], "leaf_scores": stored}
    rows |= {"leaf_scores_version": [before.version], "leaf_scores_error": pa.nulls(1, pa.string())}
    (found,) = scores.build()(Batch(pa.table(rows), []))["leaf_scores"].to_pylist()
    assert {one["leaf"] for one in found} == {"food/fruit", "animals/cats"}, "what was stored stays, charts are not asked about"


@pytest.mark.ray
@pytest.mark.usefixtures("local_ray")
def test_a_job_measures_what_its_recipe_asks_for_and_no_more(images: TableRef, session: Session) -> None:
    leaf = LeafConfig(embedder=None, assignment=ASSIGNMENT)
    config = CurateConfig(images=images, signals=("text_language", "text_quality", leaf), rules=KEEP_ALL, workers=1)
    outcome = run(config, session)
    rows = lance.dataset(images.uri).to_table().to_pylist()
    assert [row["text_language"] for row in rows] == ["en", "other", "zh"]
    assert [row["text_quality_kind"] for row in rows] == ["clean", "file_name", "clean"]
    assert [row["leaf"] for row in rows] == ["food/fruit", "unassigned", "food/fruit"]
    assert {row["verdict"] for row in rows} == {"kept"}
    assert "exact_hash" not in rows[0]
    assert outcome.metrics["curate/measured_images"] == len(rows)
    (leaves,) = session.workspace.names("leaves", "*.json")
    assert leaves == f"{rows[0]['leaf_scores_version']}.json"
