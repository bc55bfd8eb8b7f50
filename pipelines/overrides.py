"""``--set path=value``: change a configuration that a recipe made.

A leaf gets another value: YAML, validated by the configuration. A part of which there are several kinds is chosen by its kind,
``parallel=fsdp``, and comes with that kind's defaults: settings of the one never reach the other (AdamW's learning rate Muon's).
A part that may be left out is left out by ``preview=null``, and is there once one of its leaves is set. An element of a list is
reached by its `reason` or its `name`: ``rules.drop.blurred.limit=20``, ``plan.stages.all.num_steps=100``.
"""

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from types import NoneType, UnionType
from typing import Annotated, Literal, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from infra.errors import UserError

ConfigT = TypeVar("ConfigT", bound=BaseModel)


def apply(config: ConfigT, assignments: Sequence[str]) -> ConfigT:
    """The configuration changed as in ``["optim.steps=10", "parallel=fsdp"]``, one after another, validated as a whole.

    Raises:
        UserError: an assignment without ``=``, an unknown setting or kind, or a value that the configuration refuses.
    """
    data, shape = config.model_dump(), config
    for assignment in assignments:
        path, separator, text = assignment.partition("=")
        if not separator or not path:
            raise UserError(f"--set {assignment!r} is not of the form path=value; give for example --set seed=1")
        shape = _assign(shape, data, path=path.strip(), text=text)
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
    said = first["msg"].removeprefix("Value error, ")
    is_of_many = isinstance(first["input"], Mapping)                 # a rule over several settings names them itself
    got = "" if is_of_many else f" (got {_short(first['input'])})"
    more = f"; and {len(others)} more" if others else ""
    return f"setting {place}: {said}{got}{more}"


def leaves(config: BaseModel, prefix: str = "") -> Iterator[str]:
    """Paths of all settings that are values, not parts."""
    for name in type(config).model_fields:
        value = getattr(config, name, None)                          # nothing yet: a part that was chosen, before it is validated
        if isinstance(value, BaseModel):
            yield from leaves(value, f"{prefix}{name}.")
        elif rules := _rules_in(value):
            for reason, rule in rules.items():
                yield from leaves(rule, f"{prefix}{name}.{reason}.")
        elif not _is_discriminator(config, name):
            yield prefix + name


def _assign(config: ConfigT, data: dict[str, object], *, path: str, text: str) -> ConfigT:
    """Change `data`; returns the configuration's shape after it, in which settings of a part that was chosen are found."""
    *parents, leaf = path.split(".")
    config = _opened(config, data, parents)
    model, branch = _descend(config, data, parents=parents, path=path)
    if leaf not in type(model).model_fields:
        raise _unknown(config, path)
    value = getattr(model, leaf, None)
    if _rules_in(value) or _is_discriminator(model, leaf):
        raise UserError(f"--set {path} would change structure, not a value; choose a recipe for that, or set one of its leaves")
    if not _parts(model, leaf):
        branch[leaf] = _parse(path, text, current=value)
        return config
    part = _chosen(model, leaf, path=path, text=text.strip())
    branch[leaf] = None if part is None else part.model_dump()
    return _with_part(config, path.split("."), part)


def _opened(config: ConfigT, data: dict[str, object], parents: Sequence[str]) -> ConfigT:
    """The configuration with the part that the path leads through, where it is left out and there is one kind of it."""
    model: object = config
    branch: object = data
    for depth, name in enumerate(parents, start=1):
        if not isinstance(model, BaseModel) or not isinstance(branch, dict) or name not in type(model).model_fields:
            return config
        kinds = _parts(model, name)
        if getattr(model, name, None) is None and len(kinds) == 1:
            part = kinds[0].model_construct()
            branch[name] = part.model_dump()
            return _with_part(config, parents[:depth], part)
        model, branch = getattr(model, name, None), branch.get(name)
    return config


def _chosen(model: BaseModel, name: str, *, path: str, text: str) -> BaseModel | None:
    """The part of the kind that `text` names, with its defaults; it is validated with the whole."""
    kinds = {kind: option for option in _parts(model, name) for kind in _kinds(option)}
    if text in kinds:
        return kinds[text].model_construct(kind=text)
    is_optional = NoneType in _options(type(model).model_fields[name].annotation)
    if text in ("null", "") and is_optional:
        return None
    known = ", ".join([*kinds, *(["null"] if is_optional else [])])
    problem = f"there is no such kind, but {known}; choose one" if known else "it is a part, not a value"
    raise UserError(f"--set {path}={text}: {problem}, or set one of its leaves")


def _parts(model: BaseModel, name: str) -> list[type[BaseModel]]:
    """The kinds of part that a setting may be; none for values and lists."""
    annotation = type(model).model_fields[name].annotation
    return [option for option in _options(annotation) if issubclass(option, BaseModel)]


def _options(annotation: object) -> list[type]:
    """The classes in a union, in unions within it too; what is in lists is no option."""
    if isinstance(annotation, type) and get_origin(annotation) is None:
        return [annotation]
    if get_origin(annotation) in (Union, UnionType, Annotated):
        return [option for inner in get_args(annotation) for option in _options(inner)]
    return []


def _kinds(option: type[BaseModel]) -> tuple[str, ...]:
    kind = option.model_fields.get("kind")
    return get_args(kind.annotation) if kind is not None else ()


def _with_part(config: ConfigT, names: Sequence[str], part: BaseModel | None) -> ConfigT:
    name, *deeper = names
    below = getattr(config, name)
    new: object = part
    if rules := _rules_in(below):
        new = tuple(_with_part(rule, deeper[1:], part) if key == deeper[0] else rule for key, rule in rules.items())
    elif deeper:
        new = _with_part(below, deeper, part)
    return config.model_copy(update={name: new})


def _descend(
    config: BaseModel, data: dict[str, object], *, parents: Sequence[str], path: str
) -> tuple[BaseModel, dict[str, object]]:
    """The part of the configuration that has the leaf, and the part of `data` that is to be changed."""
    model: object = config
    branch: object = data
    for name in parents:
        rules = _rules_in(model)
        if isinstance(model, BaseModel) and name in type(model).model_fields and isinstance(branch, dict):
            model, below = getattr(model, name), branch.get(name)
            branch[name] = below = list(below) if isinstance(below, tuple) else below
            branch = below
        elif name in rules and isinstance(branch, list):
            model, branch = rules[name], branch[list(rules).index(name)]
        else:
            raise _unknown(config, path)
    if not isinstance(model, BaseModel) or not isinstance(branch, dict):
        raise _unknown(config, path)
    return model, branch


def _rules_in(value: object) -> dict[str, BaseModel]:
    """The elements of a list by their reasons (rules) or names (stages); nothing for any other value."""
    elements = value if isinstance(value, tuple) else ()
    rules = {str(getattr(one, "reason", getattr(one, "name", ""))): one for one in elements if isinstance(one, BaseModel)}
    return rules if len(rules) == len(elements) and "" not in rules else {}


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
