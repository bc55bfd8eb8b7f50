import json
import pickle
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from curation.captions.facts import captions_en, facts_of
from curation.decode import decode, encode_png, training_view
from curation.edits.composing import (
    BACKGROUNDS,
    COLUMNS,
    ComposeConfig,
    Composed,
    Composition,
    Omitted,
    compose,
    image_table,
    pairs_of,
    plan,
)
from curation.sources import EmojiConfig, Source, build, listed
from curation.tables import CAPTION_LEVELS, IMAGES_SCHEMA, PAIRS_SCHEMA

MANY = ComposeConfig(backgrounds_per_image=2, mirrors_per_image=1, pastes_per_image=1, seed=5, size_px=32)


@pytest.fixture(scope="module")
def food(tmp_path_factory: pytest.TempPathFactory) -> Source:
    return build(EmojiConfig(categories=("Food & Drink",), render_px=48), cache_dir=tmp_path_factory.mktemp("emoji"))


@pytest.fixture(scope="module")
def images(food: Source) -> pa.Table:
    return listed(food)


def only(images: pa.Table, **share: float) -> list[Composition]:
    nothing = {"backgrounds_per_image": 0, "mirrors_per_image": 0, "pastes_per_image": 0, "size_px": 32}
    return plan(images, ComposeConfig.model_validate(nothing | share))


def block(colour: tuple[int, int, int], *, left: int, right: int) -> bytes:
    """A 40 px transparent picture with a block of colour between two columns."""
    pixels = np.zeros((40, 40, 4), dtype=np.uint8)
    pixels[8:32, left:right] = (*colour, 255)
    return encode_png(pixels)


def test_the_plan_is_the_same_for_the_same_rows_in_any_order(images: pa.Table) -> None:
    planned = plan(images, MANY)
    shuffled = images.take(pa.array(np.random.default_rng(0).permutation(images.num_rows)))
    assert plan(shuffled, MANY) == planned
    assert [each.id for each in plan(images, MANY.model_copy(update={"seed": 6}))] != [each.id for each in planned]
    assert len({each.id for each in planned}) == len(planned)


def test_shares_are_met(images: pa.Table) -> None:
    kinds = Counter(each.kind for each in only(images, backgrounds_per_image=1.5, mirrors_per_image=0.25, pastes_per_image=0.5))
    assert kinds["background"] == pytest.approx(1.5 * images.num_rows, rel=0.1)
    assert kinds["mirror"] == pytest.approx(0.25 * images.num_rows, rel=0.35)
    assert kinds["paste"] == pytest.approx(0.5 * images.num_rows, rel=0.25)
    assert only(images) == []


def test_pastes_join_two_concepts_of_one_style_and_split(images: pa.Table) -> None:
    for each in only(images, pastes_per_image=3):
        first, second = (parent.picture for parent in each.parents)
        assert first.concept != second.concept
        assert (first.split, first.facts.style) == (second.split, second.facts.style)


def test_a_thing_is_not_put_on_its_own_colour(images: pa.Table) -> None:
    planned = only(images, backgrounds_per_image=8)
    apple = [json.loads(each.derivation)["colour"] for each in planned if each.parent_ids == ("emoji/flat/1F34E",)]
    assert sorted(apple) == sorted(set(BACKGROUNDS) - {"red"})


def test_composed_rows_and_missing_columns(images: pa.Table) -> None:
    composed = images.slice(0, 3).set_column(
        images.schema.get_field_index("parents"), "parents", pa.array([["x"]] * 3, type=pa.list_(pa.string()))
    )
    assert plan(composed, MANY) == []
    with pytest.raises(ValueError, match=r"needs the columns \['licence'\]"):
        plan(images.drop_columns(["licence"]), MANY)


def test_a_background_changes_only_what_is_transparent(images: pa.Table) -> None:
    [planned, *_] = only(images, backgrounds_per_image=1)
    made = compose(planned, [block((10, 10, 10), left=10, right=30)])
    assert isinstance(made, Composed)
    encoded = made.image_row["image"]
    assert isinstance(encoded, bytes)
    pixels = decode(encoded)
    assert pixels.shape == (32, 32, 4)
    assert (pixels[..., 3] == 255).all()
    assert tuple(pixels[0, 0, :3]) == BACKGROUNDS[json.loads(planned.derivation)["colour"]]
    assert tuple(pixels[16, 16, :3]) == (10, 10, 10)


def test_a_mirror_is_exact_and_symmetric_pictures_have_none(images: pa.Table) -> None:
    [planned, *_] = only(images, mirrors_per_image=1)
    picture = block((200, 30, 30), left=2, right=20)
    made = compose(planned, [picture])
    assert isinstance(made, Composed)
    encoded = made.image_row["image"]
    assert isinstance(encoded, bytes)
    assert np.array_equal(training_view(encoded, 32), training_view(picture, 32)[:, ::-1])
    assert compose(planned, [block((200, 30, 30), left=10, right=30)]) == Omitted("symmetric")
    assert compose(planned, [block((0, 0, 0), left=0, right=0)]) == Omitted("symmetric")


def test_a_paste_puts_each_picture_where_its_caption_says(images: pa.Table) -> None:
    red, blue = block((220, 0, 0), left=0, right=9), block((0, 0, 220), left=20, right=40)
    for planned in only(images, pastes_per_image=1)[:12]:
        made = compose(planned, [red, blue])
        assert isinstance(made, Composed)
        encoded = made.image_row["image"]
        assert isinstance(encoded, bytes)
        view = training_view(encoded, 32)
        rows, columns = np.mgrid[:32, :32]
        is_row = json.loads(planned.derivation)["layout"] == "left_right"
        place = columns if is_row else rows
        assert (
            place[(view[..., 0] > 150) & (view[..., 2] < 80)].max()
            < 16
            <= place[(view[..., 2] > 150) & (view[..., 0] < 80)].min()
        )
        caption = captions_en(facts_of(made.image_row))[1]
        assert ("on the left" in caption) == is_row
        assert (" above " in caption) == (not is_row)


def test_what_would_not_be_seen_is_omitted(images: pa.Table) -> None:
    planned = only(images, backgrounds_per_image=8)
    red = next(each for each in planned if json.loads(each.derivation)["colour"] == "red")
    assert compose(red, [block(BACKGROUNDS["red"], left=5, right=35)]) == Omitted("background_like_picture")
    assert compose(red, [encode_png(np.zeros((20, 20, 3), dtype=np.uint8))]) == Omitted("no_background")


def test_rows_keep_the_contract_and_say_where_they_come_from(food: Source, images: pa.Table) -> None:
    by_id = {row["id"]: row for row in images.to_pylist()}
    planned = pickle.loads(pickle.dumps(plan(images, MANY)[:60]))
    outcomes = [compose(each, _bytes(food, [by_id[parent]["locator"] for parent in each.parent_ids])) for each in planned]
    made = [outcome for outcome in outcomes if isinstance(outcome, Composed)]
    assert len(made) > 40
    kept = [each for each, outcome in zip(planned, outcomes, strict=True) if isinstance(outcome, Composed)]
    pictures, pairs = image_table(made), pairs_of(kept)
    assert pictures.schema.equals(IMAGES_SCHEMA)
    assert pairs.schema.equals(PAIRS_SCHEMA)
    for picture, pair in zip(pictures.to_pylist(), pairs.to_pylist(), strict=True):
        parents = [by_id[parent] for parent in picture["parents"]]
        assert pair["reference_ids"] == picture["parents"]
        assert pair["target_id"] == picture["id"]
        assert pair["task"] == ("compose" if len(parents) == 2 else "edit")
        assert {parent["split"] for parent in parents} == {picture["split"]} == {pair["split"]}
        assert all(parent["licence"] in picture["licence"] for parent in parents)
        assert all(
            len(pair[texts]) == len(CAPTION_LEVELS) and all(pair[texts]) for texts in ("instructions_en", "instructions_zh")
        )
        assert picture["source"] == "composed"
        assert set(COLUMNS) <= set(picture)


def test_composing_twice_gives_the_same_bytes(food: Source, images: pa.Table) -> None:
    by_id = {row["id"]: row for row in images.to_pylist()}
    [planned, *_] = only(images, pastes_per_image=1)
    encoded = _bytes(food, [by_id[parent]["locator"] for parent in planned.parent_ids])
    assert compose(planned, encoded) == compose(planned, encoded)


def _bytes(source: Source, locators: list[str]) -> list[bytes]:
    return [picture for picture in source.read(locators) if isinstance(picture, bytes)]


def test_a_config_out_of_range_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="mirrors_per_image"):
        ComposeConfig(backgrounds_per_image=1, mirrors_per_image=2, pastes_per_image=0)
