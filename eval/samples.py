"""Which samples are evaluated, and their pictures as the models see them."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from jaxtyping import UInt8

from curation.decode import training_view
from curation.tables import CAPTION_LEVELS, Split, TableRef, open_table
from curation.tasks import Task
from models.spelling import has_han

_IDS_PER_SCAN = 500


class MissingRows(ValueError):
    """The table does not hold the pictures that a selection names."""


class Sample(NamedTuple):
    """One picture to generate and to score."""

    sample_id: str
    task: Task
    split: Split
    prompt: str
    score_text: str
    target_id: str
    reference_ids: tuple[str, ...]

    @property
    def file_stem(self) -> str:
        """Names the sample's files: depends on the sample and on what it was told."""
        return hashlib.sha256(f"{self.sample_id}\n{self.prompt}".encode()).hexdigest()[:16]

    @property
    def folder(self) -> str:
        """Folder of the set's generated pictures, relative to the evaluation's."""
        return f"samples/{self.task}-{self.split}"

    def seed(self, run_seed: int) -> int:
        """Seed of the sample's noise: the same in any batch and in any order."""
        return int.from_bytes(hashlib.sha256(f"noise\n{run_seed}\n{self.sample_id}".encode()).digest()[:7])


def choose(selection: pa.Table, *, task: Task, split: Split, num: int, level: str, seed: int) -> list[Sample]:
    """At most `num` samples of a selection, drawn by a hash of their ids: the first of a larger draw are those of a smaller one.

    Args:
        level: one of CAPTION_LEVELS, how detailed the prompts are.
    """
    rows = [row for row in selection.to_pylist() if row["task"] == task and row["split"] == split]
    rows.sort(key=lambda row: hashlib.sha256(f"evaluate\n{seed}\n{row['sample_id']}".encode()).digest())
    return [_sample(row, level) for row in rows[:num]]


def load_pictures(images: TableRef, ids: Iterable[str], *, size_px: int) -> dict[str, UInt8[np.ndarray, "y x 3"]]:
    """Training views of the pictures, by id.

    Raises:
        MissingRows: an id is not in the table.
    """
    dataset, wanted = open_table(images), sorted(set(ids))
    views = {}
    for start in range(0, len(wanted), _IDS_PER_SCAN):
        listed = ", ".join("'" + each.replace("'", "''") + "'" for each in wanted[start : start + _IDS_PER_SCAN])
        found = dataset.to_table(columns=["id", "image"], filter=f"id IN ({listed})")
        views |= {row["id"]: training_view(row["image"], size_px) for row in found.to_pylist()}
    missing = sorted(set(wanted) - views.keys())
    if missing:
        raise MissingRows(
            f"{len(missing)} pictures of the selection are not in {images.uri} at version {images.version}, the first is "
            f"{missing[0]!r}; give the table that the selection was made from"
        )
    return views


def ids_of(samples: Sequence[Sample]) -> frozenset[str]:
    """Ids of all pictures that the samples touch."""
    return frozenset(each for sample in samples for each in (sample.target_id, *sample.reference_ids))


def subject_file(subject: str, sample: Sample) -> str:
    """Place of what another than the generator made of a sample, relative to the evaluation's folder."""
    return f"{subject}/{sample.task}-{sample.split}/{sample.file_stem}.png"


def picture_file(picture_id: str) -> str:
    """Place of a stored training view, relative to the evaluation's folder."""
    return f"pictures/{hashlib.sha256(picture_id.encode()).hexdigest()[:16]}.png"


def _sample(row: Mapping, level: str) -> Sample:
    texts = [text for text in row["texts"] if not has_han(text)] or row["texts"]  # what scores are compared with is English
    prompt = texts[min(CAPTION_LEVELS.index(level), len(texts) - 1)]
    return Sample(
        row["sample_id"], row["task"], row["split"], prompt, row["score_text"], row["target_id"], tuple(row["reference_ids"])
    )
