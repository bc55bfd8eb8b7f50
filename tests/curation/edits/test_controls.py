"""Maps of pictures as references whose target is the picture."""

import json
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest

from curation.captions.facts import captions_en, captions_zh, facts_of
from curation.decode import decode, encode_png, on_background
from curation.edits.composing import ComposeConfig, Composed, Composition, Omitted, image_table
from curation.edits.controls import MAX_HIDDEN, MIN_HIDDEN, compose_control, control_pairs, plan_controls
from curation.sources import EmojiConfig, Source, build, listed
from curation.tables import CAPTION_LEVELS, PAIRS_SCHEMA
from models.perception.controls import HIDDEN, canny

NOTHING = {"backgrounds_per_image": 0, "mirrors_per_image": 0, "pastes_per_image": 0}
BOTH = ComposeConfig.model_validate(NOTHING | {"canny_per_image": 1, "masks_per_image": 1, "seed": 3, "size_px": 48})


@pytest.fixture(scope="module")
def food(tmp_path_factory: pytest.TempPathFactory) -> Source:
    return build(EmojiConfig(categories=("Food & Drink",), render_px=64), cache_dir=tmp_path_factory.mktemp("emoji"))


@pytest.fixture(scope="module")
def images(food: Source) -> pa.Table:
    return listed(food)


@pytest.fixture(scope="module")
def made(food: Source, images: pa.Table) -> list[tuple[Composition, Composed | Omitted]]:
    planned = plan_controls(images.slice(0, 40), BOTH)
    return [(each, compose_control(each, [_encoded(food, each)])) for each in planned]


def _encoded(food: Source, composition: Composition) -> bytes:
    [read] = food.read([composition.parent_ids[0].removeprefix("emoji/")])
    assert isinstance(read, bytes)
    return read


def pixels(composed: Composed) -> np.ndarray:
    encoded = composed.image_row["image"]
    assert isinstance(encoded, bytes)
    return decode(encoded)[..., :3]


def block(height: int, width: int) -> bytes:
    """A picture of that size with a block of colour in its middle, transparent around it."""
    rgba = np.zeros((height, width, 4), dtype=np.uint8)
    rgba[height // 4 : -height // 4, width // 4 : -width // 4] = (200, 30, 30, 255)
    return encode_png(rgba)


def test_the_plan_is_the_same_for_the_same_rows_in_any_order_and_meets_its_shares(images: pa.Table) -> None:
    planned = plan_controls(images, BOTH)
    shuffled = images.take(pa.array(np.random.default_rng(0).permutation(images.num_rows)))
    assert plan_controls(shuffled, BOTH) == planned
    assert Counter(each.kind for each in planned) == dict.fromkeys(("canny", "hidden", "mask"), images.num_rows)
    assert len({each.id for each in planned}) == len(planned)
    some = plan_controls(images, BOTH.model_copy(update={"canny_per_image": 0.25, "masks_per_image": 1.5}))
    counts = Counter(each.kind for each in some)
    assert counts["canny"] == pytest.approx(0.25 * images.num_rows, rel=0.35)
    assert counts["hidden"] == counts["mask"] == pytest.approx(1.5 * images.num_rows, rel=0.1)
    assert plan_controls(images, ComposeConfig.model_validate(NOTHING)) == []


def test_maps_of_edges_are_those_that_a_request_gets(food: Source, made: list[tuple[Composition, Composed | Omitted]]) -> None:
    for composition, result in made:
        if composition.kind == "canny" and isinstance(result, Composed):
            assert composition.size_px < 64                          # scaled down first, then traced
            assert set(np.unique(pixels(result))) == {0, 255}
    whole = plan_controls(listed(food).slice(0, 1), BOTH.model_copy(update={"size_px": 64}))[0]
    result = compose_control(whole, [_encoded(food, whole)])
    assert isinstance(result, Composed)
    assert np.array_equal(pixels(result), canny(on_background(decode(_encoded(food, whole)))))


def test_a_region_is_hidden_in_one_picture_and_white_in_the_other(made: list[tuple[Composition, Composed | Omitted]]) -> None:
    found = {(each.parent_ids, each.kind): result for each, result in made if isinstance(result, Composed)}
    regions = []
    for (parents, kind), result in found.items():
        if kind == "hidden":
            mask = pixels(found[parents, "mask"])[..., 0] == 255
            assert (pixels(result)[mask] == HIDDEN).all()
            assert 0 < mask.mean() < 0.6
            regions.append(mask)
    assert len(regions) > 30
    assert len({mask.tobytes() for mask in regions}) == len(regions), "each has its own"
    boxes = [mask for mask in regions if mask.sum() == np.prod([np.ptp(each) + 1 for each in np.nonzero(mask)])]
    assert 0.25 < len(boxes) / len(regions) < 0.75, "boxes and blobs"


def test_regions_hide_some_of_what_is_drawn_and_not_all_of_it() -> None:
    share, reasons = [], Counter()
    rows = pa.Table.from_pylist([_row(f"p{i}") for i in range(200)])
    drawn = decode(block(48, 48))[..., 3] > 0
    for each in plan_controls(rows, BOTH):
        if each.kind == "mask":
            result = compose_control(each, [block(48, 48)])
            if isinstance(result, Omitted):
                reasons[result.reason] += 1
            else:
                share.append(((pixels(result)[..., 0] > 0) & drawn).sum() / drawn.sum())
    assert MIN_HIDDEN <= min(share) < max(share) <= MAX_HIDDEN
    assert len(share) > 150
    assert set(reasons) <= {"nothing_hidden", "all_hidden"}


def test_pictures_with_nothing_to_see_have_no_maps_and_those_without_a_name_none_planned() -> None:
    blank = encode_png(np.zeros((32, 32, 4), dtype=np.uint8))
    planned = plan_controls(pa.Table.from_pylist([_row("a")]), BOTH)
    assert [compose_control(each, [blank]) for each in planned] == [
        Omitted("no_edges"), Omitted("nothing_hidden"), Omitted("nothing_hidden"),
    ]  # fmt: skip
    assert plan_controls(pa.Table.from_pylist([_row("a") | {"text_en": ""}]), BOTH) == []


def test_maps_keep_the_proportions_of_their_target() -> None:
    for each in plan_controls(pa.Table.from_pylist([_row("a")]), BOTH):
        for size, expected in (((30, 90), (16, 48)), ((20, 10), (20, 10))):
            result = compose_control(each, [block(*size)])
            assert isinstance(result, Composed)
            assert pixels(result).shape[:2] == expected


def test_pairs_point_from_maps_to_their_picture_and_say_what_it_shows(
    images: pa.Table, made: list[tuple[Composition, Composed | Omitted]]
) -> None:
    planned = [each for each, result in made if isinstance(result, Composed)]
    pairs = control_pairs(planned)
    assert pairs.schema == PAIRS_SCHEMA
    ids = {each.id: each for each in planned}
    rows = {row["id"]: row for row in images.to_pylist()}
    assert {(row["kind"], row["task"], len(row["reference_ids"])) for row in pairs.to_pylist()} == {
        ("canny", "edit", 1), ("mask", "compose", 2),
    }  # fmt: skip
    for row in pairs.to_pylist():
        maps = [ids[each] for each in row["reference_ids"]]
        assert {each.parent_ids for each in maps} == {(row["target_id"],)}
        assert [each.kind for each in maps] == (["canny"] if row["kind"] == "canny" else ["hidden", "mask"])
        assert row["split"] == rows[row["target_id"]]["split"]
        assert len(row["instructions_en"]) == len(row["instructions_zh"]) == len(CAPTION_LEVELS)
        assert row["target_caption_en"] == captions_en(facts_of(rows[row["target_id"]]))[0]
        assert row["target_caption_en"] in row["instructions_en"][0] or row["kind"] == "mask"
    apple = next(row for row in pairs.to_pylist() if row["kind"] == "canny")
    assert apple["instructions_en"][0].startswith("follow these edges: ")
    assert apple["instructions_zh"][1].startswith("按照这些边缘线画图：一幅")


def test_a_region_whose_mask_was_not_kept_gives_no_pair(made: list[tuple[Composition, Composed | Omitted]]) -> None:
    hidden = [each for each, result in made if isinstance(result, Composed) and each.kind == "hidden"]
    assert control_pairs(hidden).num_rows == 0


def test_maps_are_described_as_maps(made: list[tuple[Composition, Composed | Omitted]]) -> None:
    rows = image_table([result for _, result in made if isinstance(result, Composed)]).to_pylist()
    for row in rows:
        kind, parent = json.loads(row["derivation"])["op"], row["parents"]
        short, _, long = captions_en(facts_of(row))
        begins = {"canny": "edges of ", "hidden": "part of ", "mask": "mask for a part of "}[kind]
        assert short.startswith(begins), (parent, short)
        assert long.startswith(begins.capitalize())
        assert captions_zh(facts_of(row))[0].endswith({"canny": "的边缘", "hidden": "的一部分", "mask": "局部的遮罩"}[kind])
    nameless = facts_of(rows[0])._replace(name_en="", name_zh="")
    assert captions_en(nameless) == captions_zh(nameless) == ("", "", "")


def _row(name: str) -> dict[str, object]:
    words = {"text_en": "red brick", "text_zh": "红砖", "concept": name, "category": "things", "split": "train"}
    unknown = ("style", "subcategory", "tone", "gender", "colour", "derivation", "licence", "attribution")
    return {**dict.fromkeys(unknown, ""), **words, "id": f"folder/{name}", "source": "folder", "parents": []}
