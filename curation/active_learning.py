"""Labels where they teach most: which rows to ask about, a classifier of what was answered, and the signal it becomes.

The loop: choose rows (`choose`), ask about them on a page, fit (`fit`), look at the held-out accuracy (`cross_validated`),
fill a column with the scores (`label_signal`), and choose again by those.

Rows are chosen in two steps. A pool of the most uncertain ones by the entropy of their score, then k-means++ seeding on their
features within it (Arthur & Vassilvitskii 2007), weighted by uncertainty: the uncertain rows of one classifier tend to be the
same picture many times over, and a page of those teaches one thing. Margin and entropy give the same order with two answers.

The classifier is a logistic regression on standardised features, fitted to convergence by L-BFGS from zero: without a seed,
the same labels give the same weights, and their digest is the version of the column. Training the network itself was left out:
a hundred labels do not move five million weights anywhere useful.

b rows · f features
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float32, Float64, Int64
from pydantic import BaseModel, Field, ValidationError
from scipy.optimize import minimize
from scipy.special import expit, xlogy

from curation.signals import features
from curation.signals.contract import Batch, Compute, Signal, version_of
from infra.errors import UserError

CODE_VERSION = 1
"""Raised when the same labels would give other scores."""

SHRINKAGE = 0.1
"""Weight of the squared weights beside the summed log loss. Features are scaled to unit mean square as vectors."""

FEWEST_EACH = 4
"""Labels of each answer without which nothing is fitted: fewer say nothing when some are held out."""

FOLDS = 5
POOL = 10
"""Rows in the pool of uncertain ones for each that is asked about."""

_SMALLEST_SPREAD = 1e-3

Matrix = Float32[np.ndarray, "b f"]


class Label(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """One answer; neither who gave it nor when."""

    id: str
    """The row."""
    value: bool
    """Whether the answer to the question is yes."""


class LabelFile(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """What the page saves."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")
    """Of the question, as it names columns."""
    question: str
    labels: tuple[Label, ...]
    """Skipped rows are left out."""


class Classifier(NamedTuple):
    """Logistic regression on standardised features."""

    mean: Float64[np.ndarray, " f"]
    scale: Float64[np.ndarray, " f"]
    weights: Float64[np.ndarray, " f"]
    bias: float

    def scores(self, found: Matrix) -> Float32[np.ndarray, " b"]:
        """Probability of yes, in [0, 1]."""
        return expit((found - self.mean) * self.scale @ self.weights + self.bias).astype(np.float32)

    @property
    def digest(self) -> str:
        """Of everything a score depends on besides the features, to six significant digits."""
        parts = [*self.mean, *self.scale, *self.weights, self.bias]
        return hashlib.sha256(json.dumps([f"{part:.5e}" for part in parts]).encode()).hexdigest()[:12]


class HeldOut(NamedTuple):
    """How well labels are told that the classifier has not seen."""

    num_right: int
    num: int
    num_right_always_same: int
    """By giving everybody the more frequent answer."""


def parsed(text: str, *, name: str) -> LabelFile:
    """The answers in a file that the page saved.

    Raises:
        UserError: it is another kind of file; `name` says which.
    """
    try:
        return LabelFile.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the whole"
        raise UserError(f"{name} is no file of labels: {place}: {first['msg']}; give the one that the page saved") from error


def fit(found: Matrix, answers: Bool[np.ndarray, " b"]) -> Classifier:
    """The classifier of these rows, the two answers counted alike however often each was given.

    Raises:
        UserError: too few of one answer.
    """
    num_yes = int(answers.sum())
    num_no = len(answers) - num_yes
    if min(num_yes, num_no) < FEWEST_EACH:
        seen = f"{num_yes} yes and {num_no} no"
        raise UserError(f"{seen} are labelled, at least {FEWEST_EACH} of each are needed; label more (`seedbed label export`)")
    return _fitted(found, answers)


def _fitted(found: Matrix, answers: Bool[np.ndarray, " b"]) -> Classifier:
    num_yes, num_no = int(answers.sum()), int((~answers).sum())
    mean = found.mean(0, dtype=np.float64)
    scale = 1 / ((found.std(0, dtype=np.float64) + _SMALLEST_SPREAD) * np.sqrt(found.shape[1]))
    standard = (found - mean) * scale
    importance = np.where(answers, 0.5 / num_yes, 0.5 / num_no) * len(answers)
    solved = minimize(_loss, np.zeros(found.shape[1] + 1), (standard, answers, importance), "L-BFGS-B", jac=True)
    return Classifier(mean, scale, solved.x[:-1], float(solved.x[-1]))


def cross_validated(ids: Sequence[str], found: Matrix, answers: Bool[np.ndarray, " b"]) -> HeldOut:
    """Accuracy on labels left out by turns; folds hold equal parts of both answers and depend on the ids only."""
    fold = _folds(ids, answers)
    right = 0
    for number in np.unique(fold):
        is_held = fold == number
        scores = _fitted(found[~is_held], answers[~is_held]).scores(found[is_held])
        right += int(((scores > 0.5) == answers[is_held]).sum())
    return HeldOut(right, len(answers), max(int(answers.sum()), int((~answers).sum())))


def uncertainty(scores: Float32[np.ndarray, " b"]) -> Float64[np.ndarray, " b"]:
    """Entropy of scores in bits: 1 at one half, 0 at certainty."""
    sure = scores.astype(np.float64)
    return -(xlogy(sure, sure) + xlogy(1 - sure, 1 - sure)) / np.log(2)


def most_uncertain(scores: Float32[np.ndarray, " b"], num: int) -> Int64[np.ndarray, " _"]:
    """Places of the `num` most uncertain rows, the most uncertain first, equal ones in order."""
    return np.argsort(-uncertainty(scores), kind="stable")[:num]


def choose(found: Matrix, weights: Float64[np.ndarray, " b"], num: int, *, seed: int) -> list[int]:
    """Places of `num` rows unlike each other, by k-means++ on directions of features; fewer when there are not as many.

    Args:
        found: features of a pool.
        weights: how much each row is wanted, at least 0, for example its uncertainty.
        seed: of the draw; the same arguments give the same rows.
    """
    random = np.random.default_rng(seed)
    units = found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12)
    wanted = np.maximum(weights, 1e-9)
    chosen: list[int] = []
    distance = np.ones(len(found))
    for _ in range(min(num, len(found))):
        mass = wanted * distance
        mass[chosen] = 0
        if mass.sum() <= 0:                       # only copies of what is chosen are left
            mass = wanted.copy()
            mass[chosen] = 0
        place = int(random.choice(len(found), p=mass / mass.sum()))
        chosen.append(place)
        distance = np.minimum(distance, np.maximum(1 - units @ units[place], 0))
    return chosen


def label_signal(name: str, classifier: Classifier) -> Signal:
    """The signal that fills ``label_<name>_score``, the probability of yes; null where a row has no features."""
    return Signal(
        name=f"label_{name}", inputs=("image_features",), outputs=pa.schema([pa.field(score_column(name), pa.float32())]),
        version=version_of(code=CODE_VERSION, classifier=classifier.digest, features=features.SIGNAL.version),
        build=partial(_build, name, classifier), batch_rows=1024,
    )  # fmt: skip


def score_column(name: str) -> str:
    """The column of a question's scores."""
    return f"label_{name}_score"


def merged(known: Sequence[Label], fresh: Sequence[Label]) -> list[Label]:
    """All labels, one a row, sorted by id; a fresh one replaces a known one."""
    by_id: Mapping[str, Label] = {label.id: label for label in (*known, *fresh)}
    return [by_id[row_id] for row_id in sorted(by_id)]


def _build(name: str, classifier: Classifier) -> Compute:
    def compute(batch: Batch) -> dict[str, pa.Array]:
        known, is_known = features.known_features(batch.rows)
        scores = np.zeros(len(is_known), dtype=np.float32)
        scores[is_known] = classifier.scores(known)
        return {score_column(name): pa.array(scores, mask=~is_known)}

    return compute


def _loss(
    solution: Float64[np.ndarray, " g"], standard: Float64[np.ndarray, "b f"], answers: Bool[np.ndarray, " b"],
    importance: Float64[np.ndarray, " b"],
) -> tuple[float, Float64[np.ndarray, " g"]]:  # fmt: skip
    """Log loss with shrinkage of all but the bias, and its gradient."""
    weights, bias = solution[:-1], solution[-1]
    logits = standard @ weights + bias
    loss = importance @ np.logaddexp(0, np.where(answers, -logits, logits)) + SHRINKAGE / 2 * weights @ weights
    slope = importance * (expit(logits) - answers)
    return float(loss), np.append(standard.T @ slope + SHRINKAGE * weights, slope.sum())


def _folds(ids: Sequence[str], answers: Bool[np.ndarray, " b"]) -> Int64[np.ndarray, " b"]:
    """Number of each row's fold; no more folds than there are labels of the rarer answer."""
    num = min(FOLDS, int(answers.sum()), int((~answers).sum()))
    fold = np.zeros(len(answers), dtype=np.int64)
    keys = np.array([hashlib.sha256(row_id.encode()).hexdigest() for row_id in ids])
    for value in (True, False):
        places = np.flatnonzero(answers == value)
        fold[places[np.argsort(keys[places])]] = np.arange(len(places)) % num
    return fold
