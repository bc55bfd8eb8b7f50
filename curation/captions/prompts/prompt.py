"""Prompts for vision-language models, as data: one YAML file each, named by its id.

A prompt asks for one level in one language as plain text, or for everything at once as a JSON object with named fields. Its
digest covers all it says, so an edited prompt is another prompt: its answers are asked for again, and its captions get columns of
their own.
"""

import re
from functools import cached_property
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, Field, ValidationError, model_validator

from infra.errors import UserError, one_line
from infra.storage import digest_of

FOLDER = Path(__file__).parent

Level = Literal["short", "medium", "long", "all"]
FieldName = Literal["short", "medium", "long", "type", "style", "watermarks", "abnormal"]


class Prompt(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """What is asked of a model about one picture."""

    id: str = Field(pattern=r"^[a-z0-9_]+$")
    """Name of the file, without its ending."""
    language: Literal["en", "zh"]
    """Language of prompt and answer."""
    level: Level
    """Which of `tables.CAPTION_LEVELS` the answer is; "all" for a JSON object with several."""
    fields: tuple[FieldName, ...] = ()
    """Keys the JSON object must have, all of them; none for a plain text."""
    text: str = Field(min_length=1)
    """The words themselves."""

    @model_validator(mode="after")
    def _fields_fit_the_level(self) -> "Prompt":
        if (self.level == "all") != bool(self.fields):
            raise ValueError("fields are given when, and only when, level is 'all'")
        unasked = [name for name in self.fields if not re.search(rf'"{name}"', self.text)]
        if unasked:
            raise ValueError(f"the text does not ask for the field {unasked[0]!r}")
        return self

    @cached_property
    def digest(self) -> str:
        """Twelve hex digits of everything above."""
        return digest_of(self)

    @property
    def levels(self) -> tuple[str, ...]:
        """Caption levels that an answer gives."""
        return (
            (self.level,) if self.level != "all" else tuple(name for name in self.fields if name in ("short", "medium", "long"))
        )


def prompt_ids() -> tuple[str, ...]:
    """Ids of all prompts there are."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.yaml")))


def load_prompt(prompt_id: str) -> Prompt:
    """The prompt of that id.

    Raises:
        UserError: there is none, or its file is wrong.
    """
    path = FOLDER / f"{prompt_id}.yaml"
    if prompt_id not in prompt_ids():
        raise UserError(f"no prompt {prompt_id!r}; there are {', '.join(prompt_ids())}; a new one is a file in {FOLDER}")
    try:
        return Prompt.model_validate({"id": prompt_id, **yaml.safe_load(path.read_text(encoding="utf-8"))})
    except (ValidationError, yaml.YAMLError) as error:
        raise UserError(f"prompt file {path} is wrong: {one_line(error)}") from error


def load_prompts(prompt_ids: tuple[str, ...]) -> tuple[Prompt, ...]:
    """The prompts of the ids, in order.

    Raises:
        UserError: one is missing, or two answer the same level in the same language.
    """
    prompts = tuple(load_prompt(prompt_id) for prompt_id in prompt_ids)
    seen: dict[tuple[str, str], str] = {}
    for prompt in prompts:
        for level in prompt.levels:
            other = seen.setdefault((prompt.language, level), prompt.id)
            if other != prompt.id:
                raise UserError(
                    f"prompts {other!r} and {prompt.id!r} both write the {level} caption in {prompt.language!r}; give one"
                )
    return prompts


def digest_of_prompts(prompts: tuple[Prompt, ...]) -> str:
    """One digest for a set of prompts, whatever their order."""
    return digest_of("\n".join(sorted(prompt.digest for prompt in prompts)))
