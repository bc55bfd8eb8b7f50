"""From a model's answer to captions: parsed, checked, and refused ones set aside with their reasons."""

import json
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from pydantic import BaseModel, Field, ValidationError

from curation.captions.checks import faults_of, tidy
from curation.captions.prompts.prompt import Prompt
from curation.tables import CAPTION_LEVELS

Said = dict[str, Any]
"""What a model said, as JSON gives it: any value under any key, until it is checked."""

_FENCE = re.compile(r"^\s*```(?:json)?\s*|\s*```\s*$")


class Refused(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """A text that is no caption; stored as JSON in the column of refused captions, never dropped."""

    language: str
    """Of the caption that was wanted."""
    level: str
    """Of the caption that was wanted; "all" for a whole answer."""
    reasons: tuple[str, ...] = Field(min_length=1)
    """All that apply, of `checks.FAULTS`, or "unreadable" when there was no picture to write about."""
    text: str
    """As it was written."""


class Described(NamedTuple):
    """What the answers about one picture say. Empty texts: nothing usable was written for that level."""

    captions_en: list[str]
    """One per `tables.CAPTION_LEVELS`."""
    captions_zh: list[str]
    kind: str = ""
    """"photograph", "diagram", ...: as the model said it."""
    style: str = ""
    watermarks: tuple[str, ...] = ()
    is_abnormal: bool | None = None
    """None when no prompt asked."""
    refused: tuple[Refused, ...] = ()


class _Answer(BaseModel, extra="ignore", strict=True):
    """The object that a prompt for everything asks for; other keys that a model adds are passed over."""

    short: str = ""
    medium: str = ""
    long: str = ""
    type: str = ""
    style: str = ""
    watermarks: list[str] = []
    abnormal: bool = False


def described(prompts: Sequence[Prompt], answers: Sequence[str]) -> Described:
    """What the answers to `prompts` say of one picture; every text is a caption or among the refused."""
    captions = {language: [""] * len(CAPTION_LEVELS) for language in ("en", "zh")}
    refused: list[Refused] = []
    said: Said = {}
    for prompt, answer in zip(prompts, answers, strict=True):
        parsed = {prompt.level: answer} if prompt.level != "all" else _parsed(prompt, answer)
        if parsed is None:
            refused.append(Refused(language=prompt.language, level="all", reasons=("broken_json",), text=answer))
            continue
        for level in prompt.levels:
            text = tidy(parsed[level])
            reasons = faults_of(text, level=level, language=prompt.language, prompt=prompt.text)
            if reasons:
                refused.append(Refused(language=prompt.language, level=level, reasons=reasons, text=parsed[level]))
            else:
                captions[prompt.language][CAPTION_LEVELS.index(level)] = text
        said = {**parsed, **said}
    return Described(
        captions["en"], captions["zh"], kind=tidy(said.get("type", "")).lower(), style=tidy(said.get("style", "")),
        watermarks=tuple(said.get("watermarks", ())), is_abnormal=said.get("abnormal"), refused=tuple(refused),
    )  # fmt: skip


def unreadable() -> Described:
    """What is known of a picture whose bytes are missing or no picture."""
    nothing = [""] * len(CAPTION_LEVELS)
    refusals = tuple(Refused(language=language, level="all", reasons=("unreadable",), text="") for language in ("en", "zh"))
    return Described(nothing, list(nothing), refused=refusals)


def _parsed(prompt: Prompt, answer: str) -> Said | None:
    """The fields that were asked for; None when one is missing or of another type."""
    bare = _FENCE.sub("", answer)
    start, end = bare.find("{"), bare.rfind("}")
    try:
        content = json.loads(bare[start : end + 1])
        fields = _Answer.model_validate(content)
    except (json.JSONDecodeError, ValidationError):
        return None
    if not set(prompt.fields) <= content.keys():
        return None
    return {name: getattr(fields, name) for name in prompt.fields}
