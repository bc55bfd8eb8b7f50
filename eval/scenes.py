"""Composed scenes in an evaluation: their truths, the checker of their corpus, and the scores of a set of samples."""

import hashlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from curation.decode import training_view
from curation.tables import TableRef, open_table
from eval.metrics.scenes import Before, Judged, judged
from eval.samples import Sample, ids_of
from eval.scores import Metric, SceneVerdict, Score, Subject
from eval.scoring import SampleSet
from eval.stats import Interval, mean_of, wilson
from models.perception.scene_checker import SceneChecker
from models.perception.scene_truth import LEVELS, Level, SceneTruth

Picture = UInt8[np.ndarray, "y x 3"]

EXAMPLES_PER_LEVEL = 200
"""Scenes of each level that the checker is fitted on; 600 take about ten seconds of one core."""
SOURCE = "scene"
"""Source of the rows that are scenes."""

_PASSES: dict[Level, Metric] = {
    "easy": "scene_passes_easy", "medium": "scene_passes_medium", "hard": "scene_passes_hard",
}  # fmt: skip


class SetTruths(NamedTuple):
    """What the samples of a set should show, in their order."""

    after: tuple[SceneTruth | None, ...]
    """None where the target is no scene."""
    before: tuple[SceneTruth | None, ...]
    """Of the reference of an edit; None for other samples."""


class SceneScores(NamedTuple):
    """What was found about a set."""

    scores: list[Score]
    verdicts: list[SceneVerdict | None]
    """Of the generated pictures."""


class SceneJudge:
    """Scores scenes; reads nothing and fits nothing when none of the samples is one."""

    def __init__(self, images: TableRef, samples: Iterable[Sample], *, size_px: int) -> None:
        self._truths = load_truths(images, ids_of(list(samples)))
        self._checker = fitted_checker(images, size_px=size_px) if self._truths else None

    def scores_of(self, pictures: SampleSet, samples: Sequence[Sample]) -> SceneScores:
        """What of their scenes the pictures of a set show."""
        if self._checker is None:
            return SceneScores([], [None] * len(samples))
        is_edit = pictures.task == "edit"
        after = tuple(self._truths.get(sample.target_id) for sample in samples)
        before = tuple(self._truths.get(sample.reference_ids[0]) if is_edit else None for sample in samples)
        return scene_scores(pictures, SetTruths(after, before), self._checker)


def load_truths(images: TableRef, ids: Iterable[str]) -> dict[str, SceneTruth]:
    """The truths of those of the pictures that are scenes, by id."""
    wanted = frozenset(ids)
    rows = open_table(images).to_table(columns=["id", "derivation"], filter=f"source = '{SOURCE}'").to_pylist()
    return {row["id"]: SceneTruth.model_validate_json(row["derivation"]) for row in rows if row["id"] in wanted}


def fitted_checker(images: TableRef, *, size_px: int) -> SceneChecker:
    """The checker of the table's scenes, as pictures of `size_px`: the first of each level in the order of a hash of their ids.

    Scenes of both splits are used: the checker is told what things look like, not what is asked of the generator.
    """
    rows = open_table(images).to_table(columns=["id", "subcategory"], filter=f"source = '{SOURCE}'").to_pylist()
    rows.sort(key=lambda row: hashlib.sha256(f"checker\n{row['id']}".encode()).digest())
    chosen = [row["id"] for level in LEVELS for row in [one for one in rows if one["subcategory"] == level][:EXAMPLES_PER_LEVEL]]
    listed = ", ".join(f"'{each}'" for each in chosen)
    found = open_table(images).to_table(columns=["id", "image", "derivation"], filter=f"id IN ({listed})").to_pylist()
    by_id = {row["id"]: row for row in found}
    return SceneChecker.fit(
        (training_view(by_id[each]["image"], size_px), SceneTruth.model_validate_json(by_id[each]["derivation"]))
        for each in chosen
    )


def scene_scores(samples: SampleSet, truths: SetTruths, checker: SceneChecker) -> SceneScores:
    """Every subject's pictures held against the scenes they should be; nothing where no target is a scene."""
    if not any(truths.after):
        return SceneScores([], [None] * len(truths.after))
    subjects: list[Subject] = list(samples.pictures)
    found: dict[Subject, list[Judged | None]] = {each: _judged_all(samples, each, truths, checker) for each in subjects}
    scores = [score for subject, each in found.items() for score in _scores(samples, subject, truths, each)]
    return SceneScores(scores, [_verdict(truth, one) for truth, one in zip(truths.after, found["generated"], strict=True)])


def _judged_all(samples: SampleSet, subject: Subject, truths: SetTruths, checker: SceneChecker) -> list[Judged | None]:
    pictures = zip(samples.pictures[subject], samples.references, truths.after, truths.before, strict=True)
    return [
        None if after is None
        else judged(checker, picture, after, before=None if before is None else Before(references[0], before))
        for picture, references, after, before in pictures
    ]  # fmt: skip


def _scores(samples: SampleSet, subject: Subject, truths: SetTruths, found: list[Judged | None]) -> list[Score]:
    known = [(truth.level, one) for truth, one in zip(truths.after, found, strict=True) if truth is not None and one is not None]
    scores = []
    for level, metric in _PASSES.items():
        passes = [one.passes for its, one in known if its == level]
        if passes:
            scores.append(_score(samples, metric, subject, wilson(sum(passes), len(passes)), num=len(passes)))
    facts = mean_of(np.array([one.num_held / one.num_facts for _, one in known]), seed=0)
    scores.append(_score(samples, "scene_facts", subject, facts, num=len(known)))
    return scores


def _score(samples: SampleSet, metric: Metric, subject: Subject, found: Interval, *, num: int) -> Score:
    return Score(
        metric=metric, task=samples.task, split=samples.split, subject=subject, value=found.value, low=found.low, high=found.high,
        num_samples=num,
    )  # fmt: skip


def _verdict(truth: SceneTruth | None, found: Judged | None) -> SceneVerdict | None:
    return None if truth is None or found is None else SceneVerdict(level=truth.level, passes=found.passes, failed=found.failed)
