"""Composed scenes whose truth is exact: cut-outs on plain and photographic grounds, with edits, compositions and sets.

`plan` needs the metadata of the pictures and, once for each of the few things it uses, what that thing can be
(`scene_things.measured`). It is deterministic, keyed by the seed. `compose_scene` draws one scene in a worker.

What is held out is held out by combination: of every colour, place and number some of the things that can have it are held out,
by a keyed draw. So every word and every thing is seen in training, and most combinations are; a scene with a combination that is
not is `heldout` and no training sample touches it. A held-out scene asks for what was learnt in parts.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Literal, NamedTuple

import pyarrow as pa
from pydantic import BaseModel, Field

from curation.captions.scene_captions import captions_en, captions_zh
from curation.decode import encode_png
from curation.edits.composing import Composed, Parent
from curation.edits.instructions import Instructions
from curation.edits.scene_drawing import PHOTOS, PLAIN, cutout, draw_scene
from curation.edits.scene_edits import EDIT_KINDS, edited
from curation.edits.scene_layouts import Draw, Stock, scene_of
from curation.edits.scene_sets import Family, a_set, gathered
from curation.edits.scene_things import Thing
from curation.splits import unit_draw
from curation.tables import PAIRS_SCHEMA, Split
from models.perception.colour_words import HUES
from models.perception.scene_truth import LEVELS, PLACES, Ground, SceneTruth

CATEGORY = "Scenes"
"""Category of every scene; its subcategory is its level."""
_PATIENCE = 2000
"""Draws without a find after which a count is given up: the stock is too small for it."""
_HELDOUT_NUMBERS = (2, 3, 4, 5, 6)


class LevelCounts(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """How many training scenes of each level."""

    easy: int = Field(ge=0)
    """One thing: what it is and the ground, and its size or its place."""
    medium: int = Field(ge=0)
    """A coloured thing, two or three things, or two to four alike."""
    hard: int = Field(ge=0)
    """Up to six, with numbers, colours and places together, on photographs more often than not."""


class ScenesConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Which scenes, and how many. Counts are of training; `heldout_ratio` of each come beside them, held out."""

    kind: Literal["scenes"] = "scenes"
    scenes: LevelCounts
    """Scenes to be drawn from their text."""
    edits_per_scene: float = Field(ge=0, le=len(EDIT_KINDS))
    """Edits for each of them, of kinds in turn: 0.5 is one for every second."""
    compositions: int = Field(ge=0)
    """Scenes that gather the things of two to ten pictures."""
    sets: int = Field(ge=0)
    """Sets of three or four pictures."""
    things: tuple[str, ...] | None = None
    """English names of what is cut out; None for the `num_things` training pictures that differ most."""
    num_things: int = Field(default=16, ge=4)
    """Things, when they are not named."""
    style: str = "flat"
    """Style of the pictures that are cut out."""
    plain: tuple[str, ...] = tuple(PLAIN)
    """Plain grounds, names of `scene_drawing.PLAIN`."""
    photos: tuple[str, ...] = tuple(PHOTOS)
    """Photographic grounds, names of `scene_drawing.PHOTOS`; [] for none."""
    heldout_share: float = Field(default=0.1, gt=0, lt=0.5)
    """Share of combinations that are held out."""
    heldout_ratio: float = Field(default=0.1, ge=0, le=1)
    """Held-out scenes, edits, compositions and sets for each one of training."""
    seed: int = 0
    """Key of all draws."""
    size_px: int = Field(default=128, ge=48, le=1024)
    """Width and height of the scenes."""


class Scene(NamedTuple):
    """One scene to be drawn. Small and picklable: workers get these and the parents' bytes."""

    truth: SceneTruth
    parents: tuple[Parent, ...]
    """The pictures its things are cut from."""
    split: Split

    @property
    def parent_ids(self) -> tuple[str, ...]:
        """Ids of the pictures whose bytes are needed, in that order."""
        return tuple(parent.picture.id for parent in self.parents)

    @property
    def id(self) -> str:
        """A digest of its truth: the same scene is the same row wherever it turns up."""
        return scene_id(self.truth)


class Sample(NamedTuple):
    """An edit, a composition or a set of scenes."""

    task: Literal["edit", "compose", "set"]
    kind: str
    references: tuple[str, ...]
    targets: tuple[str, ...]
    texts: Instructions
    shows: str
    """Caption of the first target."""
    split: Split


class ScenePlan(NamedTuple):
    """All scenes, each once, and the samples among them."""

    scenes: list[Scene]
    samples: list[Sample]


def scene_id(truth: SceneTruth) -> str:
    """Id of the row of a scene."""
    return f"scene/{hashlib.sha256(truth.model_dump_json().encode()).hexdigest()[:20]}"


def grounds_of(config: ScenesConfig) -> tuple[Ground, ...]:
    """All grounds of a configuration, plain ones first.

    Raises:
        ValueError: a name is unknown.
    """
    for names, known in ((config.plain, PLAIN), (config.photos, PHOTOS)):
        unknown = sorted(set(names) - known.keys())
        if unknown:
            raise ValueError(f"grounds {unknown} are unknown, there are {sorted(known)}")
    plain = (Ground(kind="plain", name=name, rgb=PLAIN[name]) for name in config.plain)
    return (*plain, *(Ground(kind="photo", name=name) for name in config.photos))


def combinations(truth: SceneTruth) -> frozenset[tuple[str, str, str]]:
    """What training and held-out scenes are told apart by: a thing with its colour, its place, or how many there are of it."""
    found = {(each.thing, "colour", each.colour) for each in truth.things if each.colour}
    found |= {(each.thing, "place", each.place) for each in truth.things if each.place}
    numbers = Counter(each.thing for each in truth.things)
    return frozenset(found | {(thing, "number", str(num)) for thing, num in numbers.items() if num > 1})


def heldout_combinations(things: Sequence[Thing], *, share: float, seed: int) -> frozenset[tuple[str, str, str]]:
    """Of each colour, place and number the things held out with it: `share` of those that can have it, at least one of two."""
    able = {("colour", colour): [each.id for each in things if colour in each.colours] for colour in HUES}
    able |= {("place", place): [each.id for each in things] for place in PLACES}
    able |= {("number", str(num)): [each.id for each in things] for num in _HELDOUT_NUMBERS}
    found = set()
    for (kind, value), ids in able.items():
        order = sorted(ids, key=lambda thing: unit_draw("combination", seed, thing, kind, value))
        found |= {(thing, kind, value) for thing in order[: max(1, round(share * len(ids))) if len(ids) > 1 else 0]}
    return frozenset(found)


def plan_scenes(things: Sequence[Thing], config: ScenesConfig) -> ScenePlan:
    """What to draw of these things, the same for the same things and configuration.

    Raises:
        ValueError: so few combinations are possible that the counts cannot be met.
    """
    return _Planner(things, config).plan()


class _Planner:
    """Draws until every count is met; holds what all draws share."""

    def __init__(self, things: Sequence[Thing], config: ScenesConfig) -> None:
        grounds = grounds_of(config)
        plain, photos = (tuple(each for each in grounds if each.kind == kind) for kind in ("plain", "photo"))
        self.stock = Stock(tuple(things), plain, photos, config.size_px)
        self.config = config
        self.heldout = heldout_combinations(things, share=config.heldout_share, seed=config.seed)
        self._scenes: dict[str, Scene] = {}
        self._samples: dict[tuple[object, ...], Sample] = {}

    @cached_property
    def _parents(self) -> Mapping[str, Parent]:
        return {thing.id: thing.parent for thing in self.stock.things}

    def plan(self) -> ScenePlan:
        shown = [truth for level in LEVELS for truth in self._told(level)]
        self._edit(shown)
        for what, num, make in (("gather", self.config.compositions, gathered), ("set", self.config.sets, a_set)):
            self._group(what, num, make)
        return ScenePlan(list(self._scenes.values()), list(self._samples.values()))

    def _told(self, level: Literal["easy", "medium", "hard"]) -> list[SceneTruth]:
        """Scenes of a level, of both splits, entered into the plan."""
        found: dict[str, SceneTruth] = {}
        wanted = self._wanted(getattr(self.config.scenes, level))
        for draw in self._draws(level, wanted):
            truth = scene_of(level, self.stock, draw)
            if truth is not None and scene_id(truth) not in found and wanted[self._split(truth)]:
                wanted[self._split(truth)] -= 1
                found[self._enter(truth)] = truth
        return list(found.values())

    def _edit(self, shown: Sequence[SceneTruth]) -> None:
        """Edits of scenes in turn, kinds in turn; held out when what they begin with or lead to is."""
        wanted = self._wanted(round(self.config.edits_per_scene * sum(self._split(each) == "train" for each in shown)))
        truths = sorted(shown, key=lambda each: unit_draw("order", self.config.seed, scene_id(each)))
        for turn, draw in enumerate(self._draws("edit", wanted)):
            before, kind = truths[turn % len(truths)], EDIT_KINDS[(turn + turn // len(truths)) % len(EDIT_KINDS)]
            made = edited(kind, before, self.stock, draw)
            if made is not None:
                self._add(Family(kind, (before,), (made.after,), made.texts, made.named), "edit", wanted)

    def _group(self, what: str, num: int, make: Callable[[Stock, Draw], Family | None]) -> None:
        wanted = self._wanted(num)
        for draw in self._draws(what, wanted):
            family = make(self.stock, draw)
            if family is not None:
                self._add(family, "compose" if what == "gather" else "set", wanted)

    def _add(self, family: Family, task: Literal["edit", "compose", "set"], wanted: dict[Split, int]) -> None:
        """Enter a sample and its scenes, when one of its split is still wanted and it is not there yet."""
        truths = (*family.references, *family.targets)
        is_heldout = bool(family.named & self.heldout) or any(self._split(each) == "heldout" for each in truths)
        split: Split = "heldout" if is_heldout else "train"
        references, targets = (tuple(map(scene_id, each)) for each in (family.references, family.targets))
        if not wanted[split] or (family.kind, references, targets) in self._samples:
            return
        wanted[split] -= 1
        for each in truths:
            self._enter(each)
        is_named_zh = all(thing.name_zh for each in truths for thing in each.things)
        texts = family.texts if is_named_zh else family.texts._replace(zh=("", "", ""))
        sample = Sample(task, family.kind, references, targets, texts, captions_en(family.targets[0])[0], split)
        self._samples[family.kind, references, targets] = sample

    def _enter(self, truth: SceneTruth) -> str:
        parents = tuple(self._parents[each] for each in dict.fromkeys(one.thing for one in truth.things))
        scene = Scene(truth, parents, self._split(truth))
        return self._scenes.setdefault(scene.id, scene).id

    def _split(self, truth: SceneTruth) -> Split:
        return "heldout" if combinations(truth) & self.heldout else "train"

    def _wanted(self, num: int) -> dict[Split, int]:
        return {"train": num, "heldout": round(num * self.config.heldout_ratio)}

    def _draws(self, what: str, wanted: Mapping[Split, int]) -> Iterator[Draw]:
        """Draws until nothing of `wanted`, which the caller counts down, is left.

        Raises:
            ValueError: `_PATIENCE` draws in a row gave nothing that was wanted.
        """
        left, number, last = sum(wanted.values()), 0, 0
        while left:
            yield Draw(("scenes", self.config.seed, what, number))
            number += 1
            if sum(wanted.values()) < left:
                left, last = sum(wanted.values()), number
            if number - last > _PATIENCE:
                raise ValueError(
                    f"{what}: {wanted['train']} training and {wanted['heldout']} held-out samples could not be drawn from "
                    f"{len(self.stock.things)} things on {len(self.stock.plain)} plain grounds; ask for fewer or give more things"
                )


def compose_scene(scene: Scene, encoded: Sequence[bytes]) -> Composed:
    """Draw one planned scene.

    Args:
        scene: from `plan_scenes`.
        encoded: the parents' encoded pictures, in the order of `parent_ids`.

    Raises:
        Undecodable: a parent is not a picture that we read.
    """
    cutouts = {parent: cutout(each) for parent, each in zip(scene.parent_ids, encoded, strict=True)}
    return Composed(_image_row(scene, encode_png(draw_scene(scene.truth, cutouts))))


def pair_table(samples: Sequence[Sample], made: frozenset[str]) -> pa.Table:
    """Rows for ``pairs`` of those samples all of whose scenes were made.

    Args:
        samples: from `plan_scenes`.
        made: ids of scenes.
    """
    rows = [_pair_row(each) for each in samples if made.issuperset((*each.references, *each.targets))]
    return pa.Table.from_pylist(rows, schema=PAIRS_SCHEMA)


def _image_row(scene: Scene, encoded: bytes) -> dict[str, object]:
    truth, parents = scene.truth, scene.parents
    photo = PHOTOS[truth.ground.name] if truth.ground.kind == "photo" else None
    licences = [*(parent.licence for parent in parents), *([photo.licence] if photo else [])]
    attributions = [*(parent.attribution for parent in parents), *([photo.attribution] if photo else [])]
    return {
        "id": scene.id, "source": "scene", "locator": "", "image": encoded, "ingest_error": "",
        "text_en": captions_en(truth)[0], "text_zh": captions_zh(truth)[0],
        "concept": "+".join(sorted(parent.picture.concept for parent in parents)),
        "style": parents[0].picture.facts.style, "category": CATEGORY, "subcategory": truth.level,
        "tone": "", "gender": "", "colour": "", "split": scene.split,
        "licence": " AND ".join(dict.fromkeys(licences)), "attribution": "; ".join(dict.fromkeys(attributions)),
        "parents": list(scene.parent_ids), "derivation": truth.model_dump_json(),
    }  # fmt: skip


def _pair_row(sample: Sample) -> dict[str, object]:
    digest = hashlib.sha256("|".join((sample.kind, *sample.references, *sample.targets)).encode()).hexdigest()[:20]
    return {
        "id": f"{sample.kind}/{digest}", "task": sample.task, "kind": sample.kind, "reference_ids": list(sample.references),
        "target_id": sample.targets[0], "further_ids": list(sample.targets[1:]),
        "instructions_en": list(sample.texts.en), "instructions_zh": list(sample.texts.zh), "target_caption_en": sample.shows,
        "category": CATEGORY, "split": sample.split,
    }  # fmt: skip
