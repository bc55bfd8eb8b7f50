import pickle
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from curation.decode import decode
from curation.sources import EmojiConfig, ReadFailure, build, listed
from curation.sources.protocol import ROWS_SCHEMA
from infra.errors import UserError


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> pa.Table:
    return listed(build(EmojiConfig(), cache_dir=tmp_path_factory.mktemp("cache")))


def test_the_corpus_is_as_large_as_promised_and_every_row_is_complete(rows: pa.Table) -> None:
    assert rows.schema.equals(ROWS_SCHEMA)
    assert 7_800 < rows.num_rows < 8_100
    for name in ("id", "text_en", "text_zh", "concept", "style", "category", "subcategory", "licence", "attribution"):
        assert "" not in rows[name].to_pylist(), name
    assert len(set(rows["id"].to_pylist())) == rows.num_rows


def test_a_text_names_one_picture_of_a_style(rows: pa.Table) -> None:
    for language in ("text_en", "text_zh"):
        texts = Counter(zip(rows["style"].to_pylist(), rows[language].to_pylist(), strict=True))
        assert [text for text, count in texts.items() if count > 1] == []


def test_a_concept_is_in_one_split_and_a_share_is_held_out(rows: pa.Table) -> None:
    splits: defaultdict[str, set[str]] = defaultdict(set)
    for concept, split in zip(rows["concept"].to_pylist(), rows["split"].to_pylist(), strict=True):
        splits[concept].add(split)
    assert all(len(found) == 1 for found in splits.values())
    heldout = sum(found == {"heldout"} for found in splits.values())
    assert 0.07 < heldout / len(splits) < 0.13


def test_rows_say_what_is_known_of_a_picture(rows: pa.Table) -> None:
    by_id = {row["id"]: row for row in rows.to_pylist()}
    apple = by_id["emoji/flat/1F34E"]
    assert (apple["text_en"], apple["text_zh"], apple["colour"]) == ("red apple", "红苹果", "red")
    assert (apple["category"], apple["subcategory"], apple["licence"]) == ("Food & Drink", "food-fruit", "CC-BY-4.0")
    cook = by_id["emoji/outlined/1F469-1F3FD-200D-1F373"]
    assert (cook["text_en"], cook["text_zh"]) == ("woman cook, medium skin tone", "女厨师，中等肤色")
    assert (cook["tone"], cook["gender"], cook["style"], cook["licence"]) == ("medium", "woman", "outlined", "CC-BY-SA-4.0")
    assert cook["concept"] == by_id["emoji/flat/1F468-1F373".replace("-", "-200D-")]["concept"]


def test_categories_and_styles_narrow_the_rows(tmp_path: Path) -> None:
    config = EmojiConfig(categories=("Food & Drink",), styles=("outlined",))
    narrowed = listed(build(config, cache_dir=tmp_path))
    assert set(narrowed["category"].to_pylist()) == {"Food & Drink"}
    assert set(narrowed["style"].to_pylist()) == {"outlined"}
    with pytest.raises(UserError, match=r"no emoji category \['Food'\].*Food & Drink"):
        build(EmojiConfig(categories=("Food",)), cache_dir=tmp_path)


def test_pictures_are_rendered_once_with_alpha(tmp_path: Path) -> None:
    source = pickle.loads(pickle.dumps(build(EmojiConfig(render_px=48), cache_dir=tmp_path)))
    first = source.read(["flat/1F34E", "outlined/1F34E"])
    for picture in first:
        assert isinstance(picture, bytes)
        rgba = decode(picture)
        assert rgba.shape == (48, 48, 4)
        red, green = rgba[..., 0].astype(int), rgba[..., 1].astype(int)
        assert 0.1 < (rgba[..., 3] > 127).mean() < 0.95
        assert ((red - green)[rgba[..., 3] > 127] > 60).mean() > 0.5  # a red apple
    kept = list(tmp_path.rglob("*.png"))
    assert len(kept) == 2
    times = [path.stat().st_mtime_ns for path in kept]
    assert source.read(["flat/1F34E", "outlined/1F34E"]) == first
    assert [path.stat().st_mtime_ns for path in kept] == times


def test_another_size_is_kept_apart(tmp_path: Path) -> None:
    sizes = []
    for size_px in (32, 40):
        [picture] = build(EmojiConfig(render_px=size_px), cache_dir=tmp_path).read(["flat/1F34E"])
        assert isinstance(picture, bytes)
        sizes.append(decode(picture).shape[0])
    assert sizes == [32, 40]


def test_an_unknown_locator_is_a_failure_of_that_row_alone(tmp_path: Path) -> None:
    read = build(EmojiConfig(render_px=32), cache_dir=tmp_path).read(["flat/1F34E", "flat/FFFF", "sketch/1F34E", "../secret"])
    assert isinstance(read[0], bytes)
    assert all(isinstance(failure, ReadFailure) for failure in read[1:])


def test_the_styles_differ(tmp_path: Path) -> None:
    flat, outlined = build(EmojiConfig(render_px=64), cache_dir=tmp_path).read(["flat/1F98A", "outlined/1F98A"])
    assert isinstance(flat, bytes)
    assert isinstance(outlined, bytes)
    dark = [(decode(picture)[..., :3].max(axis=-1) < 60)[decode(picture)[..., 3] > 200].mean() for picture in (flat, outlined)]
    assert dark[1] > 2 * np.maximum(dark[0], 0.02)  # OpenMoji has black outlines
