"""From a folder of YAML to a taxonomy that is consistent, or one error that names every fault by file, leaf and field.

A folder holds one file a domain, named after it, and may hold `SHARED_FILE`, the list of keywords that several leaves may have.
Folders can be laid over each other: a later folder's file replaces the earlier one of the same name, so a user's folder may
hold a changed domain only, or a whole taxonomy of its own.
"""

from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from curation.taxonomy.keywords import forms_of, normalised
from curation.taxonomy.leaves import Domain, Leaf, Taxonomy
from infra.errors import UserError

SHIPPED = Path(__file__).parent.parent / "taxonomies"
"""The taxonomy that comes with seedbed."""

SHARED_FILE = "_shared_keywords.yaml"
SHARE_TOLERANCE = 1e-6
FAULTS_SHOWN = 8


class BadTaxonomy(UserError):
    """A taxonomy's files contradict their form or each other; the message names file, leaf and field of each fault."""


class Fault(NamedTuple):
    """One thing that is wrong, and where."""

    file: str
    node: str
    field: str
    message: str

    def __str__(self) -> str:
        return f"{self.file}: {self.node}, field {self.field}: {self.message}"


def load_taxonomy(*folders: Path) -> Taxonomy:
    """The taxonomy of the folders, later ones replacing files of earlier ones; the shipped one when none is given.

    Raises:
        BadTaxonomy: with every fault found.
    """
    files = _files(folders or (SHIPPED,))
    shared_path = files.pop(SHARED_FILE, None)
    shared = _shared_keywords(shared_path) if shared_path else frozenset()
    domains = [_domain(path) for _, path in sorted(files.items())]
    return checked(domains, shared_keywords=shared)


def checked(domains: Sequence[Domain], *, shared_keywords: frozenset[str] = frozenset()) -> Taxonomy:
    """A taxonomy of these domains, once they agree with each other.

    Raises:
        BadTaxonomy: with every fault found.
    """
    taxonomy = Taxonomy(domains=tuple(sorted(domains, key=lambda domain: domain.domain)), shared_keywords=shared_keywords)
    faults = [*_repeated_ids(taxonomy)]
    if not faults:  # parents and keywords are only clear once names are
        faults = [*_bad_parents(taxonomy), *_bad_shares(taxonomy), *_repeated_keywords(taxonomy), *_colliding_keywords(taxonomy)]
    if faults:
        raise BadTaxonomy(_summary(faults))
    return taxonomy


def _summary(faults: Sequence[Fault]) -> str:
    shown = "; ".join(map(str, faults[:FAULTS_SHOWN]))
    return f"{shown}; and {len(faults) - FAULTS_SHOWN} more" if len(faults) > FAULTS_SHOWN else shown


def _files(folders: Sequence[Path]) -> dict[str, Path]:
    files: dict[str, Path] = {}
    for folder in folders:
        found = {path.name: path for path in sorted(folder.glob("*.yaml"))}
        if not found:
            raise BadTaxonomy(f"{folder} holds no *.yaml; give a folder with one file a domain, as in {SHIPPED}")
        files |= found
    return files


class _UniqueKeyLoader(yaml.CSafeLoader):
    """YAML where a key given twice is an error, not a silent loss of the first value."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, object]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen:
                line = key.start_mark.line + 1
                raise yaml.constructor.ConstructorError(None, None, f"key {key.value!r} a second time at line {line}")
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def _read(path: Path) -> object:
    try:
        return yaml.load(path.read_text(encoding="utf-8"), _UniqueKeyLoader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadTaxonomy(f"{path.name}: not readable as YAML: {' '.join(str(error).split())}") from error


def _shared_keywords(path: Path) -> frozenset[str]:
    content = _read(path)
    if not isinstance(content, list) or not all(isinstance(keyword, str) for keyword in content):
        expected = "expected a list of keywords; quote words such as yes and on"
        raise BadTaxonomy(f"{path.name}: seen {type(content).__name__}, {expected}")
    return frozenset(map(normalised, content))


def _domain(path: Path) -> Domain:
    content = _read(path)
    if not isinstance(content, dict):
        raise BadTaxonomy(f"{path.name}: seen {type(content).__name__}, expected keys domain, definition, share and leaves")
    try:
        domain = Domain.model_validate(content)
    except ValidationError as error:
        raise BadTaxonomy(_summary([_form_fault(path.name, content, details) for details in error.errors()])) from error
    if f"{domain.domain}.yaml" != path.name:
        expected = f"expected {path.stem}; name the file after its domain"
        raise BadTaxonomy(f"{path.name}: field domain: seen {domain.domain}, {expected}")
    return domain


def _form_fault(file: str, content: Mapping[str, object], details: ErrorDetails) -> Fault:
    """A fault of form, with the leaf's or group's id where pydantic says only its number."""
    place, message = details["loc"], f"{details['msg']}, seen {details['input']!r:.80}"
    if len(place) > 1 and place[0] in ("leaves", "groups") and isinstance(place[1], int):
        entries = content[str(place[0])]
        entry = entries[place[1]] if isinstance(entries, list) else None
        name = entry.get("id") if isinstance(entry, dict) else None
        kind = "leaf" if place[0] == "leaves" else "group"
        return Fault(file, f"{kind} {name or f'number {place[1] + 1}'}", ".".join(map(str, place[2:])) or "(whole)", message)
    return Fault(file, "domain", ".".join(map(str, place)), message)


def _repeated_ids(taxonomy: Taxonomy) -> Iterator[Fault]:
    seen: dict[str, str] = {}
    for domain in taxonomy.domains:
        file = f"{domain.domain}.yaml"
        kinds = {"domain": [domain.domain], "group": [g.id for g in domain.groups], "leaf": [leaf.id for leaf in domain.leaves]}
        for kind, node in ((kind, node) for kind, nodes in kinds.items() for node in nodes):
            if node.partition("/")[0] != domain.domain:
                message = f"expected to begin with {domain.domain}/; move it to its domain's file"
                yield Fault(file, f"{kind} {node}", "id", message)
            if node in seen:
                yield Fault(file, f"{kind} {node}", "id", f"is in {seen[node]} already; ids are unique, rename one")
            seen[node] = file


def _bad_parents(taxonomy: Taxonomy) -> Iterator[Fault]:
    parents, leaves = taxonomy.parents, taxonomy.leaves
    for node, parent in parents.items():
        file, named = f"{node.partition('/')[0]}.yaml", _named(node, leaves)
        if parent is None:
            continue
        if parent not in parents:
            yield Fault(file, named, "parent", f"seen {parent}, expected a domain or group that exists")
        elif parent in leaves:
            yield Fault(file, named, "parent", f"seen the leaf {parent}, expected a domain or a group; leaves have no children")
        elif _runs_in_circle(node, parents):
            yield Fault(file, named, "parent", f"leads from {parent} back to {node}; a parent must lie nearer the root")


def _named(node: str, leaves: Mapping[str, Leaf]) -> str:
    return f"leaf {node}" if node in leaves else f"group {node}" if "/" in node else f"domain {node}"


def _runs_in_circle(node: str, parents: Mapping[str, str | None]) -> bool:
    seen: set[str] = set()
    step = parents[node]
    while step is not None and step not in seen:
        if step == node:
            return True
        seen.add(step)
        step = parents.get(step)
    return False


def _bad_shares(taxonomy: Taxonomy) -> Iterator[Fault]:
    total = sum(domain.share for domain in taxonomy.domains)
    if abs(total - 1) > SHARE_TOLERANCE:
        files = f"{len(taxonomy.domains)} files"
        yield Fault(files, "all domains", "share", f"add up to {total:.6f}, expected 1; change some domain's share")
    for domain in taxonomy.domains:
        total = sum(leaf.share for leaf in domain.leaves)
        if abs(total - 1) > SHARE_TOLERANCE:
            message = f"leaves add up to {total:.6f}, expected 1 in each domain; take from a neighbour what a leaf needs"
            yield Fault(f"{domain.domain}.yaml", "all leaves", "share", message)


def _repeated_keywords(taxonomy: Taxonomy) -> Iterator[Fault]:
    for leaf in taxonomy.leaves.values():
        for language, keywords in (("en", leaf.keywords.en), ("zh", leaf.keywords.zh)):
            others = list(map(normalised, keywords))
            for keyword in sorted({keyword for keyword in others if others.count(keyword) > 1}):
                yield Fault(_file(leaf.id), f"leaf {leaf.id}", f"keywords.{language}", f"holds {keyword!r} twice; remove one")


def _colliding_keywords(taxonomy: Taxonomy) -> Iterator[Fault]:
    owners: dict[str, set[str]] = defaultdict(set)
    keyword_of: dict[str, str] = {}
    for leaf in taxonomy.leaves.values():
        for form, keyword in forms_of(leaf).items():
            owners[form].add(leaf.id)
            keyword_of[form] = keyword
    for form, leaves in sorted(owners.items()):
        if len(leaves) > 1 and taxonomy.shared_keywords.isdisjoint({form, keyword_of[form]}):
            first, *others = sorted(leaves)
            message = f"{form!r} is also a keyword of {', '.join(others)}; make one of them narrower or list it in {SHARED_FILE}"
            yield Fault(_file(first), f"leaf {first}", "keywords", message)


def _file(leaf: str) -> str:
    return f"{leaf.partition('/')[0]}.yaml"
