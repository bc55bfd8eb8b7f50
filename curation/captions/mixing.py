"""Which captions of a picture, and instructions of a pair, are read, and how often: weights over sets, languages and levels.

Short captions are what people type, long ones teach detail; mixing them is a decision of training, so it reads columns and is
stored with the selection, and no caption is written for it.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from pydantic import BaseModel, Field, model_validator

from curation.captions.columns import STRUCTURED, caption_columns
from curation.tables import CAPTION_LEVELS


class LevelWeights(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """How often each level is read, relative to the others."""

    short: float = Field(ge=0)
    """A phrase."""
    medium: float = Field(ge=0)
    """A sentence."""
    long: float = Field(ge=0)
    """Several sentences."""

    @model_validator(mode="after")
    def _are_some_read(self) -> "LevelWeights":
        if not self.short + self.medium + self.long:
            raise ValueError("all levels have weight 0, so nothing would be read; give one of them more")
        return self


class CaptionShare(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """One set in one language, and how often it is read."""

    captions: str = STRUCTURED
    """Name of the set, as `columns.caption_sets` lists them."""
    language: Literal["en", "zh"]
    """Language of the captions."""
    weight: float = Field(gt=0)
    """Relative to the other shares."""
    levels: LevelWeights
    """Within this share."""


class CaptionMix(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """All captions that a picture may be told by."""

    shares: tuple[CaptionShare, ...] = Field(min_length=1)
    """At least one."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns to read."""
        return tuple(dict.fromkeys(_column(share) for share in self.shares))


class Weighted(NamedTuple):
    """A caption and its probability."""

    text: str
    probability: float


def mixed(row: Mapping[str, object], mix: CaptionMix) -> list[Weighted]:
    """The captions of a row with their probabilities, which add up to 1; [] when none of them was written.

    What is missing leaves its weight to the other levels of its share, then to the other shares. A text that several levels
    have in common comes once, with their sum.
    """
    return _weighted(mix, [row[_column(share)] for share in mix.shares])


def instructed(pair: Mapping[str, object], mix: CaptionMix) -> list[Weighted]:
    """The instructions of a pair with their probabilities, by the languages and levels of the mix; sets do not matter here."""
    return _weighted(mix, [pair[f"instructions_{share.language}"] for share in mix.shares])


def _weighted(mix: CaptionMix, of_shares: Sequence[object]) -> list[Weighted]:
    found: dict[str, float] = {}
    for share, texts in zip(mix.shares, of_shares, strict=True):
        weights = [getattr(share.levels, level) for level in CAPTION_LEVELS]
        there = [
            (text, weight)
            for text, weight in zip(texts if isinstance(texts, list) else (), weights, strict=False)
            if text and weight
        ]
        total = sum(weight for _, weight in there)
        for text, weight in there:
            found[text] = found.get(text, 0.0) + share.weight * weight / total
    total = sum(found.values())
    return [Weighted(text, weight / total) for text, weight in found.items()]


def _column(share: CaptionShare) -> str:
    columns = caption_columns(share.captions)
    return columns.en if share.language == "en" else columns.zh
