"""What an evaluation found: one record for every sample, one for every number, kept as one JSON file beside the pictures."""

from typing import Literal

from pydantic import BaseModel

from curation.tables import Split
from curation.tasks import Task
from models.perception.scene_truth import Level

Subject = Literal["generated", "beside", "nearest", "real", "reconstruction", "reference", "noise"]
"""Whose pictures were scored: the generator's, another generator's, the training pictures with the nearest captions, the corpus's
own, those after a round trip through the autoencoder, the unchanged first reference of an edit, and decoded noise."""

SUBJECTS: tuple[Subject, ...] = ("generated", "beside", "nearest", "real", "reconstruction", "reference", "noise")

Metric = Literal[
    "frechet_lite0", "retrieval_r1", "retrieval_r10", "edit_follows", "error_inside", "error_outside",
    "scene_passes_easy", "scene_passes_medium", "scene_passes_hard", "scene_facts",
]  # fmt: skip

HIGHER_IS_BETTER: dict[Metric, bool] = {
    "frechet_lite0": False,
    "retrieval_r1": True,
    "retrieval_r10": True,
    "edit_follows": True,
    "error_inside": False,
    "error_outside": False,
    "scene_passes_easy": True,
    "scene_passes_medium": True,
    "scene_passes_hard": True,
    "scene_facts": True,
}

FORMAT_VERSION = 1


class SceneVerdict(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Whether a picture is the composed scene that it should be."""

    level: Level
    passes: bool
    failed: tuple[str, ...]
    """Facts that do not hold, in words."""


class SampleScore(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """One generated picture and how it did."""

    sample_id: str
    """Id in the table `images` (text-to-image) or `pairs`."""
    task: Task
    split: Split
    prompt: str
    """What the model was told."""
    score_text: str
    """What the picture should show."""
    picture: str
    """Generated picture, relative to the evaluation's folder."""
    target: str
    """The true picture."""
    references: tuple[str, ...]
    """Pictures it was made from, none for text-to-image."""
    others: dict[Subject, str] = {}
    """Pictures of other subjects, those that need looking at: "beside" and "nearest"."""
    rank: int
    """How many captions of the set fit the picture at least as well as its own: 0 is the best."""
    follows: bool | None = None
    """Whether it is nearer to the target than to every reference; None without references."""
    scene: SceneVerdict | None = None
    """What of the scene it shows; None where the target is no composed scene."""


class Score(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """One number with its 95 % confidence interval."""

    metric: Metric
    task: Task
    split: Split
    subject: Subject
    value: float
    low: float
    high: float
    num_samples: int
    """Samples it was taken from."""
    gallery: int = 0
    """Captions to choose from, for retrieval; chance of R@k is k / gallery."""

    @property
    def name(self) -> str:
        """``eval/<metric>/<task>[/heldout][/<subject>]``; generated pictures of training concepts carry no suffix."""
        parts = ["eval", self.metric, self.task]
        parts += ["heldout"] if self.split == "heldout" else []
        parts += [] if self.subject == "generated" else [self.subject]
        return "/".join(parts)


class Scores(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """The content of ``scores.json``."""

    format_version: int = FORMAT_VERSION
    bundle: str
    """Digest of the generator's bundle."""
    beside: str = ""
    """Digest of the other generator's bundle, "" when there is none."""
    contrastive: str
    """Digest of the head that scored retrieval."""
    samples: tuple[SampleScore, ...]
    scores: tuple[Score, ...]

    def metrics(self) -> dict[str, float]:
        """All numbers flat, each with ``/ci_lo`` and ``/ci_hi``."""
        named: dict[str, float] = {}
        for score in self.scores:
            named |= {score.name: score.value, f"{score.name}/ci_lo": score.low, f"{score.name}/ci_hi": score.high}
        return named
