"""Pairs: edits and compositions found among the kept pictures, and new pictures composed from them with exact truth.

What is composed is a choice: single pictures on other grounds, mirrored or side by side (`cutouts`), or whole scenes with edits,
compositions and sets of their own (`scenes`). Composed pictures become rows of the table `images` like any other: the same
signals measure them and the same rules judge them. Every pair, found or composed, is a row of the table `pairs` that points at
pictures by id.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated, Literal, NamedTuple

import lance
import pyarrow as pa
from pydantic import BaseModel, Field, TypeAdapter

from curation import commit, funnel
from curation.backfill import Rows
from curation.blocked import Blocked, set_aside
from curation.edits import controls, scene_things
from curation.edits.composing import COLUMNS, ComposeConfig, Composed, Composition, Omitted, compose, image_table, pairs_of, plan
from curation.edits.controls import compose_control, control_pairs, plan_controls
from curation.edits.pairing import find_pairs
from curation.edits.scenes import Scene, ScenePlan, ScenesConfig, compose_scene, grounds_of, pair_table, plan_scenes
from curation.judging import judge_table
from curation.signals import BY_DEFAULT, SignalConfig
from curation.tables import CAPTION_SCHEMA, IMAGES_SCHEMA, PAIRS_SCHEMA, VERDICT_SCHEMA, TableRef, open_table, pin
from curation.takedown import read_blocked
from curation.verdict import DecisionConfig
from curation.workers import Actors
from infra.errors import UserError
from infra.session import Session
from infra.tracking import Run
from pipelines.caption import CAPTION
from pipelines.columns import fill
from pipelines.job import Outcome, Work, run_job
from pipelines.measuring import signals_of

TODO_SCHEMA = pa.schema([pa.field("composition", pa.string()), pa.field("parent_row_ids", pa.list_(pa.uint64()))])
"""How a composition travels to a worker: as JSON, with the places of its parents."""

Kind = Literal["cutouts", "scenes"]

_SOURCES: dict[Kind, str] = {"cutouts": "composed", "scenes": "scene"}
"""Source of the rows that each kind makes."""

_COMPOSITION, _SCENE = TypeAdapter(Composition), TypeAdapter(Scene)


class PairsConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """From which pictures, how many compositions, and where the pairs go."""

    images: TableRef
    """The table of pictures, curated and captioned; its version names the pictures that may be parents."""
    pairs: str
    """Path or URI of the table of pairs; made when it is not there."""
    categories: tuple[str, ...]
    """Categories of the parents; all when empty."""
    compose: Annotated[ComposeConfig | ScenesConfig, Field(discriminator="kind")]
    """What is composed."""
    max_references: int = Field(ge=2)
    """Most references of a pair that was found, not composed."""
    signals: tuple[SignalConfig, ...] = Field(default=BY_DEFAULT, min_length=1)
    """What is measured of the composed pictures; the rules read the columns of these."""
    rules: DecisionConfig
    """What of the composed pictures is kept."""
    rows_per_fragment: int = Field(gt=0)
    """Compositions a worker makes and writes at once."""
    workers: int = Field(gt=0)
    """Actors that compose, and then measure; each holds the feature network."""


class Composing:
    """Composes pictures; built in a worker."""

    def __init__(self, images: TableRef, kind: Kind) -> None:
        self._images, self._kind = open_table(images), kind

    def __call__(self, rows: pa.Table) -> pa.Table:
        """Rows of IMAGES_SCHEMA for those compositions (TODO_SCHEMA) that are worth seeing."""
        batches = [rows.slice(start, commit.BATCH_ROWS) for start in range(0, rows.num_rows, commit.BATCH_ROWS)]
        return pa.concat_tables([image_table(self._composed(batch)) for batch in batches])

    def _composed(self, batch: pa.Table) -> list[Composed]:
        row_ids = [tuple(parents) for parents in batch["parent_row_ids"].to_pylist()]
        encoded = _pictures_at(self._images, sorted({row_id for parents in row_ids for row_id in parents}))
        asked = zip(batch["composition"].to_pylist(), row_ids, strict=True)
        made = [self._compose(text, [encoded[row_id] for row_id in parents]) for text, parents in asked]
        return [one for one in made if isinstance(one, Composed)]

    def _compose(self, composition: str, encoded: Sequence[bytes]) -> Composed | Omitted:
        if self._kind == "scenes":
            return compose_scene(_SCENE.validate_json(composition), encoded)
        one = _COMPOSITION.validate_json(composition)
        return compose_control(one, encoded) if one.kind in controls.KINDS else compose(one, encoded)


class Planned(NamedTuple):
    """What the kept pictures give: parents, compositions, and how many of those are in the table already."""

    parents: pa.Table
    compositions: Sequence[Composition | Scene]
    todo: Sequence[Composition | Scene]
    pairs: Callable[[frozenset[str]], pa.Table]
    """Rows of `pairs` among these, given the ids of the compositions that came to be."""


def run(config: PairsConfig, session: Session) -> Outcome:
    """Compose and pair; outputs `images` and its `version` (with the composed rows), `pairs` and its `pairs_version`."""
    resolved = PairsConfig.model_validate({**config.model_dump(), "images": pin(config.images).model_dump()})
    return run_job("pairs", resolved, session, partial(_pairs, resolved, session))


def _pairs(config: PairsConfig, session: Session, run: Run) -> Work:
    commit.require_columns(config.images, VERDICT_SCHEMA, job="curate")
    commit.require_columns(config.images, CAPTION_SCHEMA, job="caption")
    commit.create(config.pairs, PAIRS_SCHEMA)                        # a table of an older release is refused before the work
    planned = _planned(config, read_blocked(session.workspace))
    images, made, counts = _compose_and_judge(config, session, planned)
    composed = planned.pairs(made)
    is_found = config.compose.kind == "cutouts"
    found = find_pairs(planned.parents, max_references=config.max_references) if is_found else PAIRS_SCHEMA.empty_table()
    pairs = pa.concat_tables([found, composed])
    table = commit.append_table(config.pairs, pairs)
    for written in (images, table):
        run.log_table(written.uri, commit.version_of(written), "output")
    num_omitted = len(planned.compositions) - len(made)
    return Work(
        rows_in=planned.parents.num_rows,
        rows_out=pairs.num_rows,
        quarantined=counts.to_pylist()[-1]["quarantined"],
        outputs={"images": images.uri, "version": str(images.version), "pairs": table.uri, "pairs_version": str(table.version)},
        metrics={
            "pairs/found_pairs": found.num_rows, "pairs/composed_images": len(made), "pairs/omitted_images": num_omitted,
            **funnel.as_metrics(counts, "pairs"),
        },
        note=f"{pairs.num_rows:,} pairs from {planned.parents.num_rows:,} pictures: {found.num_rows:,} found, "
        f"{len(made):,} composed ({funnel.in_words(counts)}; {num_omitted:,} left out, nothing to see)",
    )  # fmt: skip


def _compose_and_judge(config: PairsConfig, session: Session, planned: Planned) -> tuple[TableRef, frozenset[str], pa.Table]:
    """The table with all composed pictures in it, the ids of those that were worth making, and their funnel."""
    wanted = frozenset(one.id for one in planned.compositions)
    composed = _compose(config, session, planned)
    limits = Rows(where=f"source = '{_SOURCES[config.compose.kind]}'")
    signals = signals_of(config.signals, session.workspace)
    fill("pairs", session, composed, [*signals, CAPTION], rows=limits, workers=Actors(config.workers))
    set_aside(config.images.uri, read_blocked(session.workspace), error_columns=config.rules.quarantine.columns)
    images, counts = judge_table(composed, config.rules, measured=signals, only=wanted)
    made = frozenset(commit.rows_of(images, ["id"], where=limits.where)["id"].to_pylist())
    return images, wanted & made, counts


def _planned(config: PairsConfig, blocked: Blocked) -> Planned:
    columns = COLUMNS if config.compose.kind == "cutouts" else scene_things.COLUMNS
    rows = commit.rows_of(config.images, list(columns), where="verdict = 'kept' AND derivation = ''").sort_by("id")
    if config.categories:
        rows = rows.filter(pa.array([category in config.categories for category in rows["category"].to_pylist()], pa.bool_()))
    compositions, pairs = _plan_of(config, rows)
    compositions = [one for one in compositions if one.id not in blocked.ids]
    present = commit.ids_in(config.images.uri)
    return Planned(rows, compositions, [one for one in compositions if one.id not in present], pairs)


def _plan_of(
    config: PairsConfig, rows: pa.Table
) -> tuple[Sequence[Composition | Scene], Callable[[frozenset[str]], pa.Table]]:
    """What to compose, and the pairs among what came to be."""
    match config.compose:
        case ComposeConfig():
            compositions, maps = plan(rows, config.compose), plan_controls(rows, config.compose)
            return [*compositions, *maps], partial(_pairs_of_cutouts, compositions, maps)
        case ScenesConfig():
            planned = _scenes(config.images, config.compose, rows)
            return planned.scenes, partial(pair_table, planned.samples)


def _pairs_of_cutouts(compositions: Sequence[Composition], maps: Sequence[Composition], made: frozenset[str]) -> pa.Table:
    there, mapped = ([one for one in planned if one.id in made] for planned in (compositions, maps))
    return pa.concat_tables([pairs_of(there), control_pairs(mapped)])


def _scenes(images: TableRef, config: ScenesConfig, rows: pa.Table) -> ScenePlan:
    """The plan of scenes; the few pictures that things are cut from are read to see what each can be.

    Raises:
        UserError: a thing or a ground is unknown, or the counts cannot be met.
    """
    row_ids = dict(zip(rows["id"].to_pylist(), rows["_rowid"].to_pylist(), strict=True))
    try:
        chosen = scene_things.candidates(rows, config.things, style=config.style, num=config.num_things)
        encoded = _pictures_at(open_table(images), [row_ids[parent.picture.id] for parent in chosen])
        grounds = grounds_of(config)
        things = [scene_things.measured(one, encoded[row_ids[one.picture.id]], grounds) for one in chosen]
        return plan_scenes(things, config)
    except ValueError as error:
        raise UserError(f"scenes: {error}") from error


def _compose(config: PairsConfig, session: Session, planned: Planned) -> TableRef:
    """Append what is not there yet; gives the newest version."""
    row_ids = dict(zip(planned.parents["id"].to_pylist(), planned.parents["_rowid"].to_pylist(), strict=True))
    if planned.todo:
        session.start_ray()
    with session.progress.stage("pairs", total=len(planned.compositions)) as bar:
        bar.start_at(len(planned.compositions) - len(planned.todo))
        return commit.append_rows(
            config.images.uri, IMAGES_SCHEMA, _chunks(planned.todo, row_ids, size=config.rows_per_fragment),
            build=partial(Composing, config.images, config.compose.kind), workers=Actors(config.workers), on_commit=bar.advance,
        )  # fmt: skip


def _chunks(compositions: Sequence[Composition | Scene], row_ids: dict[str, int], *, size: int) -> list[pa.Table]:
    lines = [
        {"composition": _as_json(one), "parent_row_ids": [row_ids[parent] for parent in one.parent_ids]}
        for one in compositions
    ]
    return [pa.Table.from_pylist(lines[start : start + size], schema=TODO_SCHEMA) for start in range(0, len(lines), size)]


def _as_json(composition: Composition | Scene) -> str:
    if isinstance(composition, Scene):
        return _SCENE.dump_json(composition).decode()
    return _COMPOSITION.dump_json(composition).decode()


def _pictures_at(dataset: lance.LanceDataset, row_ids: Sequence[int]) -> dict[int, bytes]:
    found = dataset.scanner(columns=["image"], filter=f"_rowid IN ({','.join(map(str, row_ids))})", with_row_id=True).to_table()
    return dict(zip(found["_rowid"].to_pylist(), found["image"].to_pylist(), strict=True))
