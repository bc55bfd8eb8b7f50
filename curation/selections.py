"""Which rows a training run may see: chosen by rules from metadata alone, written once, named by its rules' digest.

A sample is chosen when every picture it touches is kept and allowed: by the verdict that stands in the table, or by a stored
decision (`seedbed sweep`), whose weights then say how often a picture is drawn relative to others. Caps are applied by a keyed
draw per sample, so the same rules choose the same samples on any machine, and a larger cap keeps all that a smaller one chose.
Training and held-out samples are both in the selection, told apart by `split`; held-out ones are for evaluation only.
"""

# pyarrow.compute makes its functions at import, where the checker cannot see them.
# pyright: reportAttributeAccessIssue=false

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, Field

from curation.captions.facts import facts_of, target_caption_en
from curation.captions.mixing import CaptionMix, instructed, mixed
from curation.splits import unit_draw
from curation.tables import SELECTION_SCHEMA, Split, TableRef, open_table, picture_columns, pictures_named, pin
from curation.tasks import TASKS, Task
from infra.errors import UserError

IMAGE_COLUMNS: tuple[str, ...] = (
    "id", "source", "concept", "style", "category", "subcategory", "tone", "gender", "colour", "text_en", "text_zh",
    "split", "parents", "derivation", "verdict",
)  # fmt: skip
"""What `choose` reads of the table `images`, captions aside."""


class TaskRule(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """How many samples of one task, and how often they are drawn."""

    max_train: int | None = Field(ge=0)
    """Most training samples; None for all there are, 0 for none."""
    max_heldout: int | None = Field(ge=0)
    """Most held-out samples; None for all there are, 0 for none."""
    weight: float = Field(ge=0)
    """Relative frequency of each sample in training; multiplied by the weight that a stored decision gives its target."""


class SelectRules(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """What is allowed and how much of it."""

    categories: tuple[str, ...]
    """Categories of the pictures; all when empty."""
    styles: tuple[str, ...]
    """Styles of the source pictures; all when empty."""
    max_concepts: int | None = Field(ge=1)
    """Most concepts of each split; None for all."""
    shown_sources: tuple[str, ...]
    """Sources whose pictures are text-to-image samples, "composed" for composed ones; all when empty."""
    captions: CaptionMix
    """What the model is told, and how often each of it; of edits, the languages and levels."""
    t2i: TaskRule
    """Text to image."""
    edit: TaskRule
    """One reference and an instruction."""
    compose: TaskRule
    """Several references and an instruction."""
    sets: TaskRule
    """Several targets."""
    seed: int
    """Key of the draws."""


class Sample(NamedTuple):
    """One line of a selection, in the order of SELECTION_SCHEMA."""

    sample_id: str
    task: Task
    target_id: str
    reference_ids: list[str]
    further_ids: list[str]
    texts: list[str]
    text_weights: list[float]
    score_text: str
    tags: list[str]
    split: Split
    weight: float


def columns_of(rules: SelectRules) -> tuple[str, ...]:
    """Columns of the table `images` that `choose` reads."""
    return (*IMAGE_COLUMNS, *rules.captions.columns)


def choose(images: pa.Table, pairs: pa.Table, rules: SelectRules, *, decision: pa.Table | None = None) -> pa.Table:
    """The selection (SELECTION_SCHEMA), ordered by task and id.

    Args:
        images: all pictures with the columns that `columns_of` names.
        pairs: all pairs, PAIRS_SCHEMA.
        decision: `id`, `verdict` and `weight` of a stored decision; None for the verdicts in `images`.

    Raises:
        UserError: a concept is in two splits.
    """
    weights = _weights(images if decision is None else decision)
    pictures = {row["id"]: row for row in images.select(list(columns_of(rules))).to_pylist() if row["id"] in weights}
    require_disjoint_splits(pictures)
    allowed = _allowed_ids(pictures, rules)
    found: dict[tuple[Task, Split], list[Sample]] = defaultdict(list)
    for sample in (*_shown(pictures, allowed, rules), *_edited(pairs, allowed, rules)):
        found[sample.task, sample.split].append(sample)
    chosen = [sample for (task, split), samples in found.items() for sample in _capped(samples, rules, task=task, split=split)]
    chosen = [sample._replace(weight=sample.weight * weights[sample.target_id]) for sample in chosen]
    chosen.sort(key=lambda sample: (sample.task, sample.sample_id))
    return pa.Table.from_pylist([sample._asdict() for sample in chosen], schema=SELECTION_SCHEMA)


def num_untold(images: pa.Table, rules: SelectRules, *, decision: pa.Table | None = None) -> int:
    """Kept pictures of the shown sources that are no samples because they lack every caption of the mix; see `choose`."""
    kept = _weights(images if decision is None else decision)
    shown = (row for row in images.to_pylist() if row["id"] in kept and _is_shown(row, rules))
    return sum(not mixed(row, rules.captions) for row in shown)


def require_disjoint_splits(pictures: Mapping[str, Mapping]) -> None:
    """Refuse source pictures of one concept in two splits.

    Raises:
        UserError: names the concept.
    """
    split_of_concept: dict[str, str] = {}
    for picture in pictures.values():
        if not picture["parents"] and split_of_concept.setdefault(picture["concept"], picture["split"]) != picture["split"]:
            raise UserError(
                f"concept {picture['concept']!r} is in two splits (picture {picture['id']}): "
                "sources with different seeds or held-out shares are mixed in one table; ingest them into tables of their own"
            )


def read_selection(uri: str) -> pa.Table:
    """All lines of a selection.

    Raises:
        MissingTable: nothing is stored there.
    """
    return open_table(pin(TableRef(uri=uri))).to_table()


def pictures_of(selection: pa.Table) -> frozenset[str]:
    """Ids of all pictures that the samples touch: targets and references."""
    rows = selection.select(picture_columns(selection.schema)).to_pylist()
    return frozenset(picture for row in rows for picture in pictures_named(row))


def in_words(selection: pa.Table) -> str:
    """For example "t2i 480 + 52 held out, edit 300 + 30 held out"."""
    counts = Counter(zip(selection["task"].to_pylist(), selection["split"].to_pylist(), strict=True))
    tasks = dict.fromkeys(task for task in TASKS if counts[task, "train"] or counts[task, "heldout"])
    return ", ".join(f"{task} {counts[task, 'train']:,} + {counts[task, 'heldout']:,} held out" for task in tasks) or "nothing"


def _weights(decided: pa.Table) -> dict[str, float]:
    """The weight of every kept picture, by id; 1 where the table has no weights."""
    kept = decided.filter(pc.equal(decided["verdict"], "kept"))
    weights = kept["weight"].to_pylist() if "weight" in kept.schema.names else [1.0] * kept.num_rows
    return dict(zip(kept["id"].to_pylist(), weights, strict=True))


def _allowed_ids(pictures: Mapping[str, Mapping], rules: SelectRules) -> frozenset[str]:
    """Source pictures that the rules allow, and composed ones all of whose parents are."""
    sources = [
        picture
        for picture in pictures.values()
        if not picture["parents"]
        and (not rules.categories or picture["category"] in rules.categories)
        and (not rules.styles or picture["style"] in rules.styles)
    ]
    concepts = _drawn_concepts({(picture["concept"], picture["split"]) for picture in sources}, rules)
    direct = frozenset(picture["id"] for picture in sources if picture["concept"] in concepts)
    composed = (picture for picture in pictures.values() if picture["parents"])
    return direct | {picture["id"] for picture in composed if direct.issuperset(picture["parents"])}


def _drawn_concepts(concepts: set[tuple[str, str]], rules: SelectRules) -> frozenset[str]:
    by_split: dict[str, list[str]] = defaultdict(list)
    for concept, split in concepts:
        by_split[split].append(concept)
    return frozenset(
        concept
        for found in by_split.values()
        for concept in sorted(found, key=lambda one: (unit_draw("concept", rules.seed, one), one))[: rules.max_concepts]
    )


def _shown(pictures: Mapping[str, Mapping], allowed: frozenset[str], rules: SelectRules) -> Iterator[Sample]:
    for picture in pictures.values():
        captions = mixed(picture, rules.captions)
        if _is_shown(picture, rules) and picture["id"] in allowed and captions:
            yield Sample(
                picture["id"], "t2i", picture["id"], [], [],
                [one.text for one in captions], [one.probability for one in captions],
                target_caption_en(facts_of(picture)), [picture["style"]] if picture["style"] else [], picture["split"],
                rules.t2i.weight,
            )  # fmt: skip


def _is_shown(picture: Mapping, rules: SelectRules) -> bool:
    return not rules.shown_sources or picture["source"] in rules.shown_sources


def _edited(pairs: pa.Table, allowed: frozenset[str], rules: SelectRules) -> Iterator[Sample]:
    for pair in pairs.to_pylist():
        told = instructed(pair, rules.captions)
        if told and allowed.issuperset(pictures_named(pair)):
            yield Sample(
                pair["id"], pair["task"], pair["target_id"], pair["reference_ids"], list(pair.get("further_ids") or ()),
                [one.text for one in told], [one.probability for one in told],
                pair["target_caption_en"], [pair["kind"]], pair["split"], _rule(rules, pair["task"]).weight,
            )  # fmt: skip


def _capped(samples: list[Sample], rules: SelectRules, *, task: Task, split: Split) -> list[Sample]:
    rule = _rule(rules, task)
    cap = rule.max_train if split == "train" else rule.max_heldout
    return sorted(samples, key=lambda sample: (unit_draw("sample", rules.seed, sample.sample_id), sample.sample_id))[:cap]


def _rule(rules: SelectRules, task: Task) -> TaskRule:
    match task:
        case "t2i":
            return rules.t2i
        case "edit":
            return rules.edit
        case "compose":
            return rules.compose
        case "set":
            return rules.sets
