from collections import Counter
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from tiny_scenes import CONFIG, Corpus, corpus, foods

from curation.captions.checks import faults_of
from curation.captions.english import plural
from curation.captions.facts import captions_en, captions_zh, facts_of, target_caption_en
from curation.captions.scene_captions import NUMBERS_EN, PLACES_EN
from curation.decode import resized
from curation.edits.scene_drawing import PHOTOS, PLAIN, draw_scene, ground_pixels
from curation.edits.scene_edits import EDIT_KINDS
from curation.edits.scene_things import Thing, candidates
from curation.edits.scenes import (
    LevelCounts,
    Sample,
    Scene,
    ScenePlan,
    ScenesConfig,
    combinations,
    compose_scene,
    grounds_of,
    pair_table,
    plan_scenes,
)
from curation.tables import CAPTION_LEVELS, IMAGES_SCHEMA, PAIRS_SCHEMA
from models.perception.colour_words import HUES, colour_word
from models.perception.scene_truth import LEVELS, SceneTruth, centre_of, groups_of, place_at


@pytest.fixture(scope="module")
def images() -> pa.Table:
    return foods()


@pytest.fixture(scope="module")
def food() -> Corpus:
    return corpus()


@pytest.fixture(scope="module")
def encoded(food: Corpus) -> dict[str, bytes]:
    return food.encoded


@pytest.fixture(scope="module")
def things(food: Corpus) -> list[Thing]:
    return food.things


@pytest.fixture(scope="module")
def planned(food: Corpus) -> ScenePlan:
    return food.planned


@pytest.fixture(scope="module")
def cutouts(food: Corpus) -> dict[str, np.ndarray]:
    return food.cutouts


@pytest.fixture(scope="module")
def scenes(food: Corpus) -> dict[str, Scene]:
    return food.scenes


def truths(scenes: dict[str, Scene], ids: tuple[str, ...]) -> list[SceneTruth]:
    return [scenes[each].truth for each in ids]


def test_the_plan_is_the_same_for_the_same_things_and_differs_by_seed(
    images: pa.Table, things: list[Thing], planned: ScenePlan
) -> None:
    shuffled = images.take(pa.array(np.random.default_rng(0).permutation(images.num_rows)))
    assert candidates(shuffled, None, style="flat", num=10) == [thing.parent for thing in things]
    assert plan_scenes(things, CONFIG) == planned
    assert plan_scenes(things, CONFIG.model_copy(update={"seed": 4})).scenes != planned.scenes
    assert len({scene.id for scene in planned.scenes}) == len(planned.scenes)


def test_things_are_told_apart_and_can_be_counted(things: list[Thing]) -> None:
    names = [thing.parent.picture.facts.name_en for thing in things]
    assert len(set(names)) == 10
    assert all(thing.parent.picture.split == "train" and thing.parent.picture.facts.style == "flat" for thing in things)
    assert all(not set(name.split()) & set(HUES) for name in names), "a name with a colour would contradict another colour"


def test_counts_are_met_in_both_splits(planned: ScenePlan) -> None:
    counts = Counter((sample.task, sample.split) for sample in planned.samples)
    assert counts == {
        ("edit", "train"): 180, ("edit", "heldout"): 36, ("compose", "train"): 30, ("compose", "heldout"): 6,
        ("set", "train"): 40, ("set", "heldout"): 8,
    }  # fmt: skip
    levels = Counter((scene.truth.level, scene.split) for scene in planned.scenes)
    assert all(levels[level, "train"] >= getattr(CONFIG.scenes, level) for level in LEVELS)
    assert all(levels[level, "heldout"] >= 0.2 * getattr(CONFIG.scenes, level) for level in LEVELS)
    assert {sample.kind for sample in planned.samples if sample.task == "edit"} == set(EDIT_KINDS)


def test_held_out_combinations_are_never_trained_on_but_their_words_are(planned: ScenePlan, scenes: dict[str, Scene]) -> None:
    seen = {each for scene in planned.scenes if scene.split == "train" for each in combinations(scene.truth)}
    heldout = [scene for scene in planned.scenes if scene.split == "heldout"]
    assert all(combinations(scene.truth) - seen for scene in heldout)
    words = {(kind, value) for _, kind, value in seen}
    asked = {each for scene in heldout for each in combinations(scene.truth)}
    assert {(kind, value) for _, kind, value in asked} <= words
    assert {thing for thing, *_ in asked} <= {thing for thing, *_ in seen}
    by_scenes = {
        sample: "heldout" in {scenes[each].split for each in (*sample.references, *sample.targets)} for sample in planned.samples
    }
    assert all(sample.split == "heldout" for sample, is_heldout in by_scenes.items() if is_heldout)
    by_words = [sample for sample, is_heldout in by_scenes.items() if sample.split == "heldout" and not is_heldout]
    assert by_words, "no instruction names a place that is held out"
    assert all(any(place in sample.texts.en[1] for place in PLACES_EN.values()) for sample in by_words)


def test_things_lie_where_the_truth_says_and_nothing_else_is_drawn(
    planned: ScenePlan, cutouts: dict[str, np.ndarray]
) -> None:
    for scene in planned.scenes[::7]:
        pixels, empty = draw_scene(scene.truth, cutouts), ground_pixels(scene.truth.ground, 64)
        changed = (pixels != empty).any(-1)
        for each in scene.truth.things:
            left, top, right, bottom = each.box
            inside = changed[top:bottom, left:right]
            assert inside.mean() > 0.3, "too little of it is seen"
            assert inside[[0, -1]].any(), "the box is no larger than the thing"
            changed[top:bottom, left:right] = False
        assert not changed.any()


def test_stated_places_sizes_and_relations_are_true_of_the_boxes(planned: ScenePlan) -> None:
    for truth in (scene.truth for scene in planned.scenes):
        for each in truth.things:
            longer = max(each.box[2] - each.box[0], each.box[3] - each.box[1]) / 64
            assert not each.place or place_at(*centre_of(each.box, 64)) == each.place
            assert each.size != "small" or longer < 0.29
            assert each.size != "large" or longer > 0.55
        if truth.relation:
            axis = 0 if truth.relation == "left of" else 1
            assert truth.things[0].box[axis + 2] <= truth.things[1].box[axis]


def test_no_two_things_touch(planned: ScenePlan) -> None:
    for truth in (scene.truth for scene in planned.scenes):
        taken = np.zeros((64, 64), int)
        for left, top, right, bottom in (each.box for each in truth.things):
            taken[top:bottom, left:right] += 1
        assert taken.max() <= 1


def test_colour_words_are_true_of_the_pixels(planned: ScenePlan, cutouts: dict[str, np.ndarray]) -> None:
    coloured = [scene.truth for scene in planned.scenes if any(each.colour for each in scene.truth.things)]
    shown = {(each.thing, each.colour): (truth, each) for truth in coloured for each in truth.things if each.colour}
    assert len({colour for _, colour in shown}) >= 4
    for truth, each in shown.values():
        left, top, right, bottom = each.box
        drawn = draw_scene(truth, cutouts)[top:bottom, left:right]
        solid = resized(cutouts[each.thing], bottom - top, right - left)[..., 3] > 200
        assert colour_word(drawn[solid]) == each.colour, each.name_en


def test_edits_change_what_they_say_and_nothing_else_to_the_pixel(
    planned: ScenePlan, scenes: dict[str, Scene], cutouts: dict[str, np.ndarray]
) -> None:
    for sample in (each for each in planned.samples if each.task == "edit"):
        (before,), (after,) = truths(scenes, sample.references), truths(scenes, sample.targets)
        changed = (draw_scene(before, cutouts) != draw_scene(after, cutouts)).any(-1)
        assert changed.any()
        mine, theirs = ([each.model_copy(update={"place": ""}) for each in truth.things] for truth in (before, after))
        touched = [each for each in mine if each not in theirs] + [each for each in theirs if each not in mine]
        assert len(touched) == {"add": 1, "remove": 1, "replace": 2, "recolour": 2, "move": 2}[sample.kind]
        for left, top, right, bottom in (each.box for each in touched):
            changed[top:bottom, left:right] = False
        assert not changed.any()


def test_instructions_name_what_changes(planned: ScenePlan, scenes: dict[str, Scene]) -> None:
    for sample in (each for each in planned.samples if each.task == "edit"):
        after = truths(scenes, sample.targets)[0]
        before = truths(scenes, sample.references)[0]
        appeared = [each for each in after.things if each not in before.things]
        for text in sample.texts.en:
            if sample.kind in ("add", "replace"):
                assert appeared[0].name_en in text
            if sample.kind == "recolour":
                assert appeared[0].colour in text
            if sample.kind == "move":
                assert PLACES_EN[appeared[0].place or "centre"].split(" the ")[1] in text


def test_compositions_show_the_thing_of_every_reference(planned: ScenePlan, scenes: dict[str, Scene]) -> None:
    gathered = [sample for sample in planned.samples if sample.task == "compose"]
    assert {len(sample.references) for sample in gathered} >= {2, 3, 4}
    assert max(len(sample.references) for sample in gathered) > 4
    for sample in gathered:
        target = truths(scenes, sample.targets)[0]
        alone = [truth.things for truth in truths(scenes, sample.references)]
        assert all(len(each) == 1 for each in alone)
        looks = sorted((each.thing, each.colour) for (each,) in alone)
        assert looks == sorted((each.thing, each.colour) for each in target.things)
        assert all(each.name_en in text for (each,) in alone for text in sample.texts.en)


def test_sets_vary_one_thing_from_picture_to_picture(planned: ScenePlan, scenes: dict[str, Scene]) -> None:
    sets = [sample for sample in planned.samples if sample.task == "set"]
    kinds = Counter(sample.kind for sample in sets)
    assert kinds.keys() == {"set_grounds", "set_growing", "set_sequence"}
    assert min(kinds.values()) >= 8, "each kind is about as common as the others"
    for sample in sets:
        shown = truths(scenes, sample.targets)
        match sample.kind:
            case "set_grounds":
                assert len({truth.ground.name for truth in shown}) == len({truth.things for truth in shown}) * 4 == 4
            case "set_growing":
                widths = [truth.things[0].box[2] - truth.things[0].box[0] for truth in shown]
                assert widths[0] < widths[1] < widths[2]
                assert len({truth.ground for truth in shown}) == 1
            case _:
                assert [len(truth.things) for truth in shown] == list(range(1, len(shown) + 1))
                assert all(now.things[:-1] == past.things for past, now in pairwise(shown))


def test_captions_state_every_fact_at_every_level_and_are_clean(planned: ScenePlan, encoded: dict[str, bytes]) -> None:
    for scene in planned.scenes[::5]:
        truth = scene.truth
        row = compose_scene(scene, [encoded[each] for each in scene.parent_ids]).image_row
        english, chinese = captions_en(facts_of(row)), captions_zh(facts_of(row))
        for level, en, zh in zip(CAPTION_LEVELS, english, chinese, strict=True):
            assert not faults_of(en, level=level, language="en"), en
            assert not faults_of(zh, level=level, language="zh"), zh
            assert truth.ground.name in en
            for group in groups_of(truth.things):
                first = group[0]
                name = first.name_en if len(group) == 1 else f"{plural(first.name_en)}"
                said = " ".join(filter(None, (first.size, first.colour, name)))
                assert said.lower() in en.lower()
                assert len(group) == 1 or f"{NUMBERS_EN[len(group)]} {said}".lower() in en.lower()
                assert not first.place or first.place.split()[-1] in en
                assert first.name_zh in zh
        assert target_caption_en(facts_of(row)) == english[0]


def test_rows_are_whole_and_credit_every_picture(planned: ScenePlan, encoded: dict[str, bytes]) -> None:
    photo = next(scene for scene in planned.scenes if scene.truth.ground.kind == "photo")
    row = compose_scene(photo, [encoded[each] for each in photo.parent_ids]).image_row
    assert pa.Table.from_pylist([row], schema=IMAGES_SCHEMA).num_rows == 1
    assert (row["id"], row["source"], row["split"], row["subcategory"]) == (photo.id, "scene", photo.split, "hard")
    assert PHOTOS[photo.truth.ground.name].licence in str(row["licence"])
    assert PHOTOS[photo.truth.ground.name].attribution in str(row["attribution"])
    assert photo.parents[0].attribution in str(row["attribution"])
    assert SceneTruth.model_validate_json(str(row["derivation"])) == photo.truth
    again = compose_scene(photo, [encoded[each] for each in photo.parent_ids]).image_row
    assert again["image"] == row["image"]


def test_samples_with_a_scene_that_was_not_made_are_left_out(planned: ScenePlan) -> None:
    ids = frozenset(scene.id for scene in planned.scenes)
    whole = pair_table(planned.samples, ids)
    assert whole.schema == PAIRS_SCHEMA
    assert whole.num_rows == len(planned.samples) == len(set(whole["id"].to_pylist()))
    lost = planned.samples[-1].targets[-1]
    left = pair_table(planned.samples, ids - {lost}).to_pylist()
    assert 0 < len(left) < whole.num_rows
    assert all(lost not in (row["target_id"], *row["reference_ids"], *row["further_ids"]) for row in left)


def test_chinese_is_left_out_where_a_name_is_missing(things: list[Thing]) -> None:
    def unnamed(thing: Thing) -> Thing:
        picture = thing.parent.picture
        return thing._replace(parent=thing.parent._replace(picture=picture._replace(facts=picture.facts._replace(name_zh=""))))

    few = CONFIG.model_copy(update={"scenes": LevelCounts(easy=5, medium=5, hard=0), "compositions": 2, "sets": 2})
    planned = plan_scenes([unnamed(thing) for thing in things], few)
    assert all(sample.texts.zh == ("", "", "") for sample in planned.samples)


def _few(**changes: object) -> ScenesConfig:
    return ScenesConfig.model_validate({**CONFIG.model_dump(), **changes})


def test_unknown_names_and_impossible_counts_are_named(images: pa.Table, things: list[Thing]) -> None:
    with pytest.raises(ValueError, match=r"\['flying saucer'\] are no training pictures of style 'flat'"):
        candidates(images, ["pear", "flying saucer"], style="flat", num=2)
    with pytest.raises(ValueError, match="1000 things asked for"):
        candidates(images, None, style="flat", num=1000)
    with pytest.raises(ValueError, match=r"grounds \['mauve'\] are unknown"):
        grounds_of(_few(plain=("white", "mauve")))
    few = _few(scenes={"easy": 2000, "medium": 0, "hard": 0}, plain=("white",), photos=(), edits_per_scene=0)
    with pytest.raises(ValueError, match=r"easy: .* could not be drawn from 2 things on 1 plain grounds"):
        plan_scenes(things[:2], few)


def test_grounds_are_what_they_are_called() -> None:
    for ground in grounds_of(CONFIG):
        pixels = ground_pixels(ground, 48)
        if ground.kind == "plain":
            assert (pixels == PLAIN[ground.name]).all()
        else:
            assert pixels.std((0, 1)).max() > 2, "a photograph is not flat"
            assert pixels.std((0, 1)).max() < 50, "nor does it hide what lies on it"


def test_named_things_are_the_ones_used(images: pa.Table) -> None:
    chosen = candidates(images, ["pear", "cookie"], style="flat", num=16)
    assert sorted(parent.picture.facts.name_en for parent in chosen) == ["cookie", "pear"]


def test_samples_are_named_by_what_they_hold(planned: ScenePlan) -> None:
    def held(sample: Sample) -> tuple[object, ...]:
        return sample.kind, sample.references, sample.targets

    assert len({held(sample) for sample in planned.samples}) == len(planned.samples)
