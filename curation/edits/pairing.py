"""Pairs that are already among the pictures: same thing in another style, skin tone, gender or colour; joined emoji.

Pure functions over metadata rows. Reference and target are always of one split; where a pair would cross, it is not made. What
counts as "the same thing" is read off the columns, so any source that fills them gets its pairs:

* style: same concept, text, tone and gender; styles differ (both directions)
* tone: same text without the tone, same style; tones differ (all ordered pairs, people of one tone)
* gender: same concept, style and tone; names equal but for the words man and woman, or the only two of their group
* colour: same style and subcategory; names equal but for the colour word
* joined: an emoji that joins others by the zero-width joiner, all of which are there in the same style
"""

import hashlib
import re
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from itertools import permutations
from typing import NamedTuple

import pyarrow as pa

from curation.captions.facts import Facts, facts_of, target_caption_en
from curation.edits import instructions
from curation.edits.instructions import Instructions
from curation.tables import PAIRS_SCHEMA

MAX_REFERENCES = 2
"""Joined emoji with more parts are left out: families of four say little about composing."""

COLUMNS: tuple[str, ...] = (
    "id", "source", "text_en", "text_zh", "concept", "style", "category", "subcategory", "tone", "gender", "colour", "split",
    "parents", "derivation",
)  # fmt: skip
"""Columns of ``images`` that pairing reads."""

_JOINER = "-200D-"
_GENDER_SIGNS = frozenset({"2640", "2642"})
_GENDER_WORDS = re.compile(r"\b(?:woman|man)\b")
_GENDER_WORDS_PLURAL = re.compile(r"\b(?:women|men)\b")


class Picture(NamedTuple):
    """One row of ``images``, as far as pairs depend on it."""

    id: str
    source: str
    concept: str
    category: str
    subcategory: str
    split: str
    facts: Facts


def find_pairs(images: pa.Table, *, max_references: int = MAX_REFERENCES) -> pa.Table:
    """All pairs among these pictures, with the schema PAIRS_SCHEMA, ordered by kind and then by the order of the rows.

    Args:
        images: rows that were kept, with at least `COLUMNS`; composed rows are passed over.
        max_references: joined emoji of more parts are left out.
    """
    pictures = pictures_of(images)
    finders: tuple[Iterator[dict[str, object]], ...] = (
        _style_pairs(pictures), _tone_pairs(pictures), _gender_pairs(pictures), _colour_pairs(pictures),
        _joined_pairs(pictures, max_references),
    )  # fmt: skip
    return pa.Table.from_pylist([pair for finder in finders for pair in finder], schema=PAIRS_SCHEMA)


def pictures_of(images: pa.Table) -> list[Picture]:
    """Source rows (composed ones left out) in their order, checked for the columns pairing needs."""
    missing = [name for name in COLUMNS if name not in images.column_names]
    if missing:
        raise ValueError(f"pairing needs the columns {missing} of images, got {images.column_names}; read them too")
    rows: Sequence[Mapping[str, object]] = images.select(list(COLUMNS)).to_pylist()
    return [_picture(row) for row in rows if not row["parents"]]


def pair_row(
    kind: str, references: Sequence[Picture], target_id: str, texts: Instructions, *, shows: Facts, category: str, split: str
) -> dict[str, object]:
    """One row of ``pairs`` with one target; its id is a digest of kind, references and target: the same pair, the same id."""
    task = "compose" if len(references) > 1 else "edit"
    reference_ids = [picture.id for picture in references]
    digest = hashlib.sha256("|".join([kind, *reference_ids, target_id]).encode()).hexdigest()[:20]
    return {
        "id": f"{kind}/{digest}", "task": task, "kind": kind, "reference_ids": reference_ids, "target_id": target_id,
        "further_ids": [],
        "instructions_en": list(texts.en), "instructions_zh": list(texts.zh), "target_caption_en": target_caption_en(shows),
        "category": category, "split": split,
    }  # fmt: skip


def _picture(row: Mapping[str, object]) -> Picture:
    return Picture(
        str(row["id"]),
        str(row["source"]),
        str(row["concept"]),
        str(row["category"]),
        str(row["subcategory"]),
        str(row["split"]),
        facts_of(row),
    )


def _edit(kind: str, before: Picture, after: Picture, texts: Instructions) -> dict[str, object]:
    return pair_row(kind, [before], after.id, texts, shows=after.facts, category=after.category, split=after.split)


def _grouped(pictures: Iterable[Picture], key: Callable[[Picture], Hashable]) -> list[list[Picture]]:
    groups: defaultdict[Hashable, list[Picture]] = defaultdict(list)
    for picture in pictures:
        groups[key(picture)].append(picture)
    return [group for group in groups.values() if len(group) > 1]


def _ordered_pairs(groups: Iterable[list[Picture]]) -> Iterator[tuple[Picture, Picture]]:
    """Every ordered pair within a group that does not cross splits."""
    for group in groups:
        yield from (pair for pair in permutations(group, 2) if pair[0].split == pair[1].split)


def _style_pairs(pictures: Sequence[Picture]) -> Iterator[dict[str, object]]:
    named = [picture for picture in pictures if picture.facts.style and picture.facts.name_en]
    groups = _grouped(named, lambda each: (each.concept, each.facts._replace(style="")))
    for before, after in _ordered_pairs(groups):
        if before.facts.style != after.facts.style:
            yield _edit("style", before, after, instructions.restyle(before.facts, after.facts))


def _tone_pairs(pictures: Sequence[Picture]) -> Iterator[dict[str, object]]:
    alike = [picture for picture in pictures if " and " not in picture.facts.tone]
    groups = _grouped(alike, lambda each: (each.concept, each.facts._replace(tone="")))
    for before, after in _ordered_pairs(groups):
        if before.facts.tone != after.facts.tone:
            yield _edit("tone", before, after, instructions.retone(before.facts, after.facts))


def _gender_pairs(pictures: Sequence[Picture]) -> Iterator[dict[str, object]]:
    gendered = [picture for picture in pictures if picture.facts.gender]
    for group in _grouped(gendered, lambda each: (each.concept, each.facts.style, each.facts.tone)):
        for before, after in _ordered_pairs([group]):
            differ = before.facts.gender != after.facts.gender
            if differ and (len(group) == 2 or _ungendered(before) == _ungendered(after)):
                yield _edit("gender", before, after, instructions.regender(before.facts, after.facts))


def _colour_pairs(pictures: Sequence[Picture]) -> Iterator[dict[str, object]]:
    coloured = [picture for picture in pictures if picture.facts.colour]
    groups = _grouped(
        coloured, lambda each: (each.facts.style, each.facts.tone, each.facts.gender, each.subcategory, _uncoloured(each))
    )
    for before, after in _ordered_pairs(groups):
        if before.facts.colour != after.facts.colour:
            yield _edit("colour", before, after, instructions.recolour(before.facts, after.facts, thing=_uncoloured(before)))


def _joined_pairs(pictures: Sequence[Picture], max_references: int) -> Iterator[dict[str, object]]:
    by_id = {picture.id: picture for picture in pictures}
    for whole in pictures:
        style_and_key = whole.id.rsplit("/", 1)
        keys = style_and_key[-1].split(_JOINER) if whole.source == "emoji" else []
        if not 2 <= len(keys) <= max_references or _GENDER_SIGNS & set(keys):  # a sign is an edit of gender, no part of a picture
            continue
        parts = [by_id.get(f"{style_and_key[0]}/{key}") for key in keys]
        found = [part for part in parts if part is not None and part.split == whole.split]
        if len(found) == len(keys):
            texts = instructions.join(tuple(part.facts for part in found), whole.facts)
            yield pair_row("joined", found, whole.id, texts, shows=whole.facts, category=whole.category, split=whole.split)


def _ungendered(picture: Picture) -> str:
    return _GENDER_WORDS_PLURAL.sub("people", _GENDER_WORDS.sub("person", picture.facts.name_en))


def _uncoloured(picture: Picture) -> str:
    without = re.sub(rf"\b{re.escape(picture.facts.colour)}\b", " ", picture.facts.name_en)
    return " ".join(without.split())
