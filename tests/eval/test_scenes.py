"""Scenes in an evaluation: true pictures pass, noise and unchanged references do not, and others are not asked."""


import lance
import numpy as np
import pyarrow as pa
import pytest
from tiny_scenes import Corpus, corpus

from curation.edits.scenes import Sample as Family
from curation.edits.scenes import compose_scene
from curation.tables import IMAGES_SCHEMA, TableRef, pin
from curation.tasks import Task
from eval.report import _scene_mark
from eval.samples import Sample, load_pictures
from eval.scenes import SceneJudge, SceneScores, load_truths
from eval.scores import HIGHER_IS_BETTER, SceneVerdict, Subject
from eval.scoring import SampleSet

NUM_SCENES = 150


@pytest.fixture(scope="module")
def food() -> Corpus:
    return corpus()


@pytest.fixture(scope="module")
def edits(food: Corpus) -> list[Family]:
    return [each for each in food.planned.samples if each.task == "edit"][:20]


@pytest.fixture(scope="module")
def images(food: Corpus, edits: list[Family], tmp_path_factory: pytest.TempPathFactory) -> TableRef:
    """A table of scenes, and one picture that is none."""
    wanted = {each for edit in edits for each in (*edit.references, *edit.targets)}
    scenes = [*food.planned.scenes[::5][:NUM_SCENES], *(food.scenes[each] for each in sorted(wanted))]
    rows = [compose_scene(scene, [food.encoded[each] for each in scene.parent_ids]).image_row for scene in scenes]
    plain = {field.name: "" for field in IMAGES_SCHEMA} | {"parents": [], "id": "emoji/1", "source": "emoji"}
    rows.append({**plain, "image": next(iter(food.encoded.values()))})
    uri = str(tmp_path_factory.mktemp("tables") / "images.lance")
    lance.write_dataset(pa.Table.from_pylist(list({row["id"]: row for row in rows}.values()), schema=IMAGES_SCHEMA), uri)
    return pin(TableRef(uri=uri))


def as_sample(task: Task, target: str, *references: str) -> Sample:
    return Sample(f"{task}/{target}", task, "train", "a prompt", "a prompt", target, references)


def judged(images: TableRef, samples: list[Sample]) -> SceneScores:
    views = load_pictures(images, {each for one in samples for each in (one.target_id, *one.reference_ids)}, size_px=64)
    real = [views[sample.target_id] for sample in samples]
    noise = list(np.random.default_rng(0).integers(0, 256, (len(samples), 64, 64, 3), dtype=np.uint8))
    references = tuple(tuple(views[each] for each in sample.reference_ids) for sample in samples)
    pictures: dict[Subject, list[np.ndarray]] = {"generated": real, "real": real, "noise": noise}
    if references[0]:
        pictures["reference"] = [each[0] for each in references]
    shown = SampleSet(samples[0].task, "train", tuple(one.score_text for one in samples), pictures, references)
    return SceneJudge(images, samples, size_px=64).scores_of(shown, samples)


def test_true_scenes_are_right_and_noise_is_not(food: Corpus, images: TableRef) -> None:
    samples = [as_sample("t2i", scene.id) for scene in food.planned.scenes[::5][:60]]
    found = judged(images, samples)
    values = {(score.metric, score.subject): score for score in found.scores}
    for level in ("easy", "medium"):
        assert values[f"scene_passes_{level}", "real"].value >= 0.9
        assert values[f"scene_passes_{level}", "noise"].value == 0
    assert values["scene_facts", "real"].value >= 0.95
    assert values["scene_facts", "noise"].value < 0.5
    passes = [score.num_samples for (metric, subject), score in values.items() if subject == "real" and metric != "scene_facts"]
    assert sum(passes) == values["scene_facts", "real"].num_samples == 60
    assert all(score.metric in HIGHER_IS_BETTER for score in found.scores)
    assert all(verdict is not None for verdict in found.verdicts)


def test_an_edit_that_did_nothing_is_wrong(images: TableRef, edits: list[Family]) -> None:
    found = judged(images, [as_sample("edit", each.targets[0], each.references[0]) for each in edits])
    passes = {(score.subject, score.metric): score.value for score in found.scores}
    levels = {metric for subject, metric in passes if subject == "real" and metric != "scene_facts"}
    assert np.mean([passes["real", level] for level in levels]) >= 0.85
    assert np.mean([passes["reference", level] for level in levels]) <= 0.15


def test_pictures_that_are_no_scenes_are_not_asked(images: TableRef) -> None:
    samples = [as_sample("t2i", "emoji/1")]
    assert load_truths(images, ["emoji/1"]) == {}
    assert judged(images, samples) == SceneScores([], [None])


def test_marks_say_what_is_wrong() -> None:
    assert _scene_mark(SceneVerdict(level="easy", passes=True, failed=())) == "easy: every fact holds"
    failed = ("count: 3 pear", "ground: blue", "place: pear left")
    wrong = SceneVerdict(level="hard", passes=False, failed=failed)
    assert _scene_mark(wrong) == "hard: not count: 3 pear, ground: blue and 1 more"
