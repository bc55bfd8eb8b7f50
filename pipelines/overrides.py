"""``--set path=value``: change leaves of a configuration that a recipe made.

Only values change, never structure: choosing another model or objective by a flag would carry settings of the one into the
other (AdamW's learning rate into Muon), so that is a recipe's business. Values are YAML, validated by the configuration.
"""

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Literal, TypeVar, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from infra.errors import UserError

ConfigT = TypeVar("ConfigT", bound=BaseModel)


def apply(config: ConfigT, assignments: Sequence[str]) -> ConfigT:
    """The configuration with its leaves changed as in ``["optim.steps=10", "seed=2"]``, validated as a whole.

    Raises:
        UserError: an assignment without ``=``, an unknown or structural setting, or a value that the configuration refuses.
    """
    data = config.model_dump()
    for assignment in assignments:
        path, separator, text = assignment.partition("=")
        if not separator or not path:
            raise UserError(f"--set {assignment!r} is not of the form path=value; give for example --set seed=1")
        _assign(config, data, path=path.strip(), text=text)
    return validated(type(config), data)


def validated(kind: type[ConfigT], data: Mapping[str, object]) -> ConfigT:
    """The configuration made of `data`.

    Raises:
        UserError: names the first setting that is refused, with the value that was seen.
    """
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        raise UserError(describe(error)) from error


def describe(error: ValidationError) -> str:
    """A validation error in one line."""
    first, *others = error.errors()
    place = ".".join(map(str, first["loc"])) or error.title
    more = f"; and {len(others)} more" if others else ""
    return f"setting {place}: {first['msg']} (got {_short(first['input'])}){more}"


def leaves(config: BaseModel, prefix: str = "") -> Iterator[str]:
    """Paths of all settings that ``--set`` may change."""
    for name in type(config).model_fields:
        value = getattr(config, name)
        if isinstance(value, BaseModel):
            yield from leaves(value, f"{prefix}{name}.")
        elif not _is_discriminator(config, name):
            yield prefix + name


def _assign(config: BaseModel, data: dict[str, object], *, path: str, text: str) -> None:
    model: BaseModel = config
    branch = data
    *parents, leaf = path.split(".")
    for name in parents:
        child, below = getattr(model, name, None), branch.get(name)
        if name not in type(model).model_fields or not isinstance(child, BaseModel) or not isinstance(below, dict):
            raise _unknown(config, path)
        model, branch = child, below
    if leaf not in type(model).model_fields:
        raise _unknown(config, path)
    if isinstance(getattr(model, leaf), BaseModel) or _is_discriminator(model, leaf):
        raise UserError(f"--set {path} would change structure, not a value; choose a recipe for that, or set one of its leaves")
    branch[leaf] = _parse(path, text, current=getattr(model, leaf))


def _parse(path: str, text: str, *, current: object) -> object:
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UserError(f"--set {path}: cannot read {text!r} as a YAML value; quote it if it is text") from error
    return text if isinstance(current, str) and not isinstance(value, str) else value


def _is_discriminator(model: BaseModel, name: str) -> bool:
    annotation = type(model).model_fields[name].annotation
    return get_origin(annotation) is Literal and len(get_args(annotation)) == 1


def _unknown(config: BaseModel, path: str) -> UserError:
    known = list(leaves(config))
    same_leaf = [name for name in known if name.split(".")[-1] == path.split(".")[-1]]
    near = get_close_matches(path, known, n=1, cutoff=0.5) or same_leaf
    hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(known[:12])}{', …' if len(known) > 12 else ''}"
    return UserError(f"--set {path}: {type(config).__name__} has no such setting; {hint} (--dry-run prints all)")


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
