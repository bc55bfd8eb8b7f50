"""What a taxonomy is made of: domains, groups and leaves, frozen, with digests.

A leaf is one scenario, as narrow as a person would ask for ("bar chart", "Peking opera"). Shares are written in two steps,
a domain's share of the corpus and a leaf's share of its domain, so that adding a leaf touches one file only. Digests are
taken of what a number depends on: a leaf's scores do not depend on its share, so changing a share recomputes nothing.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Annotated, Literal

from pydantic import BaseModel, Field, StringConstraints

Difficulty = Literal["easy", "medium", "hard"]
Facet = Literal["form", "subject"]
DomainId = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]
NodeId = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*/[a-z][a-z0-9_]*$")]
Phrase = Annotated[str, StringConstraints(min_length=1, max_length=60, strip_whitespace=True)]
Sentence = Annotated[str, StringConstraints(min_length=5, max_length=240, strip_whitespace=True)]

DIGEST_LENGTH = 12


class Thresholds(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Limits of curation that a domain or leaf sets for itself; None leaves the limit of the recipe in force."""

    min_side_px: int | None = Field(default=None, ge=1)
    """Shorter side, in pixels of the picture as received."""
    min_sharpness: float | None = Field(default=None, ge=0)
    """Variance of the Laplacian of luma; near 0 for drawings with large plain areas, which are not blurred."""
    min_alpha_cover: float | None = Field(default=None, ge=0, le=1)
    """Share of pixels more opaque than not."""
    max_text_area: float | None = Field(default=None, ge=0, le=1)
    """Share of the picture that text may cover."""
    near_duplicate_bits: int | None = Field(default=None, ge=0, le=16)
    """Largest difference of perceptual hashes between near-duplicates."""
    near_duplicate_cosine: float | None = Field(default=None, ge=-1, le=1)
    """Smallest cosine of image features between near-duplicates."""

    def over(self, outer: "Thresholds") -> "Thresholds":
        """These limits where they are set, those of `outer` elsewhere."""
        return Thresholds.model_validate(outer.model_dump(exclude_none=True) | self.model_dump(exclude_none=True))


class Keywords(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Phrases that tell a caption of this leaf; matched as `curation.taxonomy.keywords` says."""

    en: tuple[Phrase, ...] = Field(min_length=4)
    """In the singular: the regular plural is matched too."""
    zh: tuple[Phrase, ...] = Field(min_length=4)
    """Simplified Chinese; may hold Latin letters where Chinese writers use them."""


class Examples(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Captions as they would stand beside pictures of this leaf."""

    en: tuple[Sentence, ...] = Field(min_length=1)
    """English captions; text prototypes are made of these and the definition."""
    zh: tuple[Sentence, ...] = Field(min_length=1)
    """Chinese captions; part of the prototype where the text encoder reads Chinese."""


class Leaf(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """One scenario."""

    id: NodeId
    """``domain/leaf_name``."""
    parent: DomainId | NodeId
    """The domain, or a group of it."""
    definition: Sentence
    """One English sentence that tells the leaf from its neighbours."""
    keywords: Keywords
    examples: Examples
    share: float = Field(gt=0, le=1)
    """Target share of the domain's pictures; a domain's leaves add up to 1."""
    difficulty: Difficulty
    """How hard such pictures are to draw well, as far as the leaf alone tells."""
    facet: Facet | None = None
    """None for the domain's."""
    thresholds: Thresholds = Thresholds()
    """Limits that differ from the domain's."""


class Group(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """A node between a domain and its leaves, for reports."""

    id: NodeId
    parent: DomainId | NodeId
    """A domain or another group."""
    definition: Sentence


class Domain(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """One file of a taxonomy."""

    domain: DomainId
    """Name of the domain and of its file."""
    parent: DomainId | NodeId | None = None
    """None for a domain at the root."""
    definition: Sentence
    share: float = Field(gt=0, le=1)
    """Target share of the corpus; all domains add up to 1."""
    facet: Facet
    """Whether leaves say what kind of picture it is (a watercolour, a chart) or what it shows (a cat, a kitchen)."""
    thresholds: Thresholds = Thresholds()
    """Limits of all leaves that do not set their own."""
    groups: tuple[Group, ...] = ()
    leaves: tuple[Leaf, ...] = Field(min_length=1)


class Taxonomy(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Domains that were found consistent by `curation.taxonomy.loading`."""

    domains: tuple[Domain, ...]
    """Sorted by name."""
    shared_keywords: frozenset[str] = frozenset()
    """Normalised keywords that more than one leaf may have."""

    @cached_property
    def leaves(self) -> Mapping[str, Leaf]:
        """Leaves by id, in the order of their ids."""
        return {leaf.id: leaf for leaf in sorted(self._leaves(), key=lambda leaf: leaf.id)}

    @cached_property
    def parents(self) -> Mapping[str, str | None]:
        """Parent of every domain, group and leaf."""
        found: dict[str, str | None] = {domain.domain: domain.parent for domain in self.domains}
        for domain in self.domains:
            found |= {group.id: group.parent for group in domain.groups}
        return found | {leaf.id: leaf.parent for leaf in self._leaves()}

    @cached_property
    def shares(self) -> Mapping[str, float]:
        """Target share of the corpus by leaf; they add up to 1."""
        return {leaf.id: domain.share * leaf.share for domain in self.domains for leaf in domain.leaves}

    @cached_property
    def version(self) -> str:
        """Digest of everything the taxonomy says."""
        return digest_of(self.model_dump(mode="json") | {"shared_keywords": sorted(self.shared_keywords)})

    def ancestors(self, node: str) -> tuple[str, ...]:
        """The node's parent, its parent's parent, and so on to the root."""
        chain: list[str] = []
        parent = self.parents[node]
        while parent is not None:
            chain.append(parent)
            parent = self.parents[parent]
        return tuple(chain)

    def thresholds_of(self, leaf: str) -> Thresholds:
        """Limits in force for a leaf: its own, else its domain's."""
        return self.leaves[leaf].thresholds.over(self._domain_of(leaf).thresholds)

    def facet_of(self, leaf: str) -> Facet:
        """The leaf's own facet, else its domain's."""
        return self.leaves[leaf].facet or self._domain_of(leaf).facet

    def _domain_of(self, leaf: str) -> Domain:
        name = leaf.partition("/")[0]
        (domain,) = (domain for domain in self.domains if domain.domain == name)
        return domain

    def _leaves(self) -> Iterator[Leaf]:
        return (leaf for domain in self.domains for leaf in domain.leaves)


def leaf_digest(leaf: Leaf, *, longer_keywords: tuple[str, ...]) -> str:
    """Digest of all that a leaf's evidence depends on: its text, and other keywords that hide its own in a caption."""
    said = leaf.model_dump(mode="json", include={"id", "definition", "keywords", "examples"})
    return digest_of(said | {"longer_keywords": sorted(longer_keywords)})


def digest_of(content: Mapping[str, object]) -> str:
    """First hexadecimal digits of the SHA-256 of canonical JSON."""
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:DIGEST_LENGTH]
