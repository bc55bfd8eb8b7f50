"""From pictures to scores: features once for every picture, then every measure on them.

Every subject (`eval.scores.Subject`: generated, real, noise, ...) goes through the same code, so that a number always
stands beside what perfect and what worthless pictures would get. Fréchet distances are to the real pictures of the same samples;
"real" there is one half of them against the other, at half the size, which reads high.

n samples · r references · f features · d width of the contrastive space
"""

import hashlib
from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8

from curation.tables import Split
from curation.tasks import Task
from eval.metrics import edit_following, frechet, retrieval
from eval.scores import Metric, Score, Subject
from eval.stats import Interval, mean_of, statistic_of, wilson
from models.minilm import MiniLmEncoder
from models.perception.contrastive import ContrastiveHead
from models.perception.efficientnet import LiteFeatures

Picture = UInt8[np.ndarray, "y x 3"]


class SampleSet(NamedTuple):
    """Samples of one task and one split, with the pictures of every subject in the same order."""

    task: Task
    split: Split
    score_texts: tuple[str, ...]
    pictures: Mapping[Subject, Sequence[Picture]]
    """Holds at least "real", the targets."""
    references: tuple[tuple[Picture, ...], ...]
    """Per sample; empty ones for text-to-image."""


class SetScores(NamedTuple):
    """What was found about one set."""

    scores: list[Score]
    ranks: Int[np.ndarray, " n"]
    """Of the generated pictures."""
    follows: Bool[np.ndarray, " n"] | None
    """Of the generated pictures; None without references."""


BySubject = dict[Subject, Float[np.ndarray, "n f"]]


class Scorer:
    """Holds the encoders; scores one set at a time."""

    def __init__(self, features: LiteFeatures, head: ContrastiveHead, text: MiniLmEncoder, *, seed: int) -> None:
        self._lite, self._head, self._text = features, head, text
        self._seed = seed
        self._known: dict[bytes, Float[np.ndarray, " f"]] = {}

    def score(self, samples: SampleSet) -> SetScores:
        """All numbers of the set, those of every subject in it."""
        features: BySubject = {subject: self._features(pictures) for subject, pictures in samples.pictures.items()}
        found = retrieval.gallery(samples.score_texts)
        ranked = self._ranks(features, found)
        scores = _retrieval_scores(samples, ranked, gallery=len(found.captions))
        scores += self._frechet_scores(samples, features)
        follows = self._follows(samples, features)
        scores += [_score(samples, "edit_follows", subject, wilson(int(yes.sum()), len(yes))) for subject, yes in follows.items()]
        scores += self._pixel_scores(samples)
        return SetScores(scores, ranked["generated"], follows.get("generated"))

    def _features(self, pictures: Sequence[Picture]) -> Float[np.ndarray, "n f"]:
        """Each distinct picture goes through the network once: targets and references recur in many samples."""
        keys = [hashlib.blake2b(picture.tobytes(), digest_size=16).digest() for picture in pictures]
        missing = {key: picture for key, picture in zip(keys, pictures, strict=True) if key not in self._known}
        if missing:
            found = self._lite.of_pixels(np.stack(list(missing.values())))
            self._known.update(zip(missing, found, strict=True))
        return np.stack([self._known[key] for key in keys])

    @torch.inference_mode()
    def _ranks(
        self, features: BySubject, found: retrieval.Gallery
    ) -> dict[Subject, Int[np.ndarray, " n"]]:
        captions = self._head.encode_texts(self._text.pooled(list(found.captions))).numpy()
        ranked: dict[Subject, Int[np.ndarray, " n"]] = {}
        for subject, each in features.items():
            ranked[subject] = retrieval.ranks(self._head.encode_images(torch.from_numpy(each)).numpy(), captions, found.truth)
        return ranked

    def _frechet_scores(self, samples: SampleSet, features: BySubject) -> list[Score]:
        real = features["real"]
        if len(real) < _FEWEST_FOR_FRECHET:
            return []
        scores = []
        for subject, each in features.items():
            first, second = (real[::2][: len(real) // 2], real[1::2]) if subject == "real" else (each, real)
            found = statistic_of(partial(_distance_of_kept, first, second), len(first), seed=self._seed)
            scores.append(_score(samples, "frechet_lite0", subject, found))
        return scores

    def _follows(
        self, samples: SampleSet, features: BySubject
    ) -> dict[Subject, Bool[np.ndarray, " n"]]:
        if not samples.references[0]:
            return {}
        most = max(len(each) for each in samples.references)
        padded = [each + each[:1] * (most - len(each)) for each in samples.references]
        flat = self._features([picture for each in padded for picture in each])
        references = flat.reshape(len(padded), most, -1)
        asked: list[Subject] = [subject for subject in features if subject not in ("real", "reference")]  # known beforehand
        return {subject: edit_following.follows(features[subject], features["real"], references) for subject in asked}

    def _pixel_scores(self, samples: SampleSet) -> list[Score]:
        """Errors inside and outside the region an edit changes; compositions have no such region."""
        if samples.task != "edit":
            return []
        scores = []
        for subject, pictures in samples.pictures.items():
            if subject == "real":
                continue
            triples = zip(pictures, samples.pictures["real"], samples.references, strict=True)
            errors = np.array([_errors(*each) for each in triples])
            for column, metric in enumerate(_PIXEL_METRICS):
                values = errors[~np.isnan(errors[:, column]), column]
                if len(values):
                    scores.append(_score(samples, metric, subject, mean_of(values, seed=self._seed)))
        return scores


_FEWEST_FOR_FRECHET = 8
"""Two halves, each with at least two pictures left when the jackknife leaves some out."""

_PIXEL_METRICS: tuple[Metric, Metric] = ("error_inside", "error_outside")


def _retrieval_scores(
    samples: SampleSet, ranked: Mapping[Subject, Int[np.ndarray, " n"]], *, gallery: int
) -> list[Score]:
    tops: tuple[tuple[Metric, int], ...] = (("retrieval_r1", 1), ("retrieval_r10", 10))
    return [
        _score(samples, metric, subject, wilson(retrieval.hits_at(each, k), len(each)), gallery=gallery)
        for metric, k in tops
        for subject, each in ranked.items()
    ]


def _distance_of_kept(
    first: Float[np.ndarray, "n f"], second: Float[np.ndarray, "n f"], kept: Int[np.ndarray, " k"]
) -> float:
    """A sample that is left out takes its real picture along."""
    return frechet.frechet_distance(first[kept], second[kept])


def _errors(result: Picture, target: Picture, references: tuple[Picture, ...]) -> tuple[float, float]:
    result_, target_, reference_ = (_in_unit_range(each) for each in (result, target, references[0]))
    region = edit_following.changed_region(reference_, target_)
    inside = edit_following.error_inside(result_, target_, region)
    return inside, edit_following.error_inside(result_, target_, ~region)


def _in_unit_range(picture: Picture) -> Float[np.ndarray, "3 y x"]:
    return picture.transpose(2, 0, 1).astype(np.float32) / 127.5 - 1


def _score(samples: SampleSet, metric: Metric, subject: Subject, found: Interval, *, gallery: int = 0) -> Score:
    return Score(
        metric=metric,
        task=samples.task,
        split=samples.split,
        subject=subject,
        value=found.value,
        low=found.low,
        high=found.high,
        num_samples=len(samples.score_texts),
        gallery=gallery,
    )
