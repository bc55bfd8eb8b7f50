import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from curation import commit
from curation.decode import encode_png
from curation.retrieval import Hit
from curation.signals.taxonomy import Captions
from curation.tables import IMAGES_SCHEMA
from curation.taxonomy.loading import load_taxonomy
from infra.errors import UserError
from infra.settings import Settings
from infra.storage import Workspace
from pipelines.exports import exports_showing
from pipelines.leaf_search import outside_leaf
from pipelines.search import command


@pytest.fixture
def table(workspace: Workspace) -> str:
    uri = workspace.uri("tables", "images.lance")
    commit.create(uri, IMAGES_SCHEMA)
    empty = {field.name: "" for field in IMAGES_SCHEMA} | {"parents": []}
    named = {
        "a": ("a red apple", "红苹果", (220, 20, 20)),
        "b": ("a green apple", "青苹果", (20, 200, 20)),
        "c": ("a car", "汽车", (0, 0, 1)),
    }
    rows = [
        empty | {"id": key, "text_en": en, "text_zh": zh, "image": encode_png(np.full((8, 8, 3), colour, dtype=np.uint8))}
        for key, (en, zh, colour) in named.items()
    ]
    rows.append(empty | {"id": "d", "text_en": "a lost apple", "image": None, "ingest_error": "unreadable: no bytes"})
    commit.append_table(uri, pa.Table.from_pylist(rows, schema=IMAGES_SCHEMA))
    return uri


def test_words_find_rows_and_the_sheet_shows_them(table: str, settings: Settings, tmp_path: Path, capsys):
    sheet = tmp_path / "sheet.png"
    assert command(["red apple", "--sheet", str(sheet)], settings) == 0
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    assert lines[0].startswith("  1  0.0164  a  a red apple  [words #1 (")
    assert len(lines) == 3
    assert "matched by words alone" in captured.err
    with Image.open(sheet) as picture:
        pixels = np.asarray(picture.convert("RGB"))
    assert (pixels == (220, 20, 20)).all(axis=2).sum() > 100 * 100
    assert not (pixels == (0, 0, 1)).all(axis=2).any()
    (noted,) = exports_showing(["a"], Workspace(settings.root))
    assert noted.file == str(sheet)


def test_json_holds_everything_and_filters_hold(table: str, settings: Settings, capsys):
    assert command(["苹果", "--json", "--limit", "2", "--where", "id != 'a'"], settings) == 0
    found = json.loads(capsys.readouterr().out)
    assert [hit["id"] for hit in found["hits"]] == ["b"]
    assert found["hits"][0]["places"] == {"words": 1}
    assert found["table"]["uri"] == table
    assert command(["submarine"], settings) == 0
    assert capsys.readouterr().out == "nothing found\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "nothing to search for; give words"),
        (["apple", "--leaf", "food/fruit"], "--leaf brings its own words"),
        (["apple", "--where", "nope = 1"], "does not work on"),
        (["apple", "--sheet", "/no/such/sheet.png"], "there is no folder /no/such"),
        (["submarine", "--sheet", "sheet.png"], "nothing found, so there is no sheet"),
        (["--image", "/no/such.png"], "cannot read /no/such.png"),
        (["--image", __file__], "is no picture that can be read"),
        (["--leaf", "food/no_such_leaf"], "the taxonomy has no leaf 'food/no_such_leaf'"),
    ],
)
def test_what_the_user_got_wrong_is_said(table: str, settings: Settings, words: list[str], message: str):
    with pytest.raises(UserError, match=message):
        command(words, settings)


def test_rows_that_are_in_a_leaf_by_their_keywords_are_not_proposed_for_it():
    taxonomy = load_taxonomy()
    leaf = next(iter(taxonomy.leaves.values()))
    texts = [", ".join(leaf.keywords.en[:3]), leaf.examples.en[0], "a screw"]
    hits = [Hit(str(number), 0.0, {}, {}, text) for number, text in enumerate(texts)]
    found = outside_leaf(taxonomy, leaf, hits, captions=Captions(texts, ["", "", ""]), measured=[None] * 3)
    assert "0" not in {one.hit.id for one in found}
    assert [one.fit for one in found if one.hit.id == "2"] == [0.0]


def test_a_measured_leaf_counts_for_more_than_the_keywords():
    taxonomy = load_taxonomy()
    leaf, other = list(taxonomy.leaves.values())[:2]
    texts = [", ".join(leaf.keywords.en[:3]), "a screw", "a screw"]
    hits = [Hit(str(number), 0.0, {}, {}, text) for number, text in enumerate(texts)]
    measured = [(other.id,), (leaf.id,), (other.id, leaf.id)]
    found = outside_leaf(taxonomy, leaf, hits, captions=Captions(texts, ["", "", ""]), measured=measured)
    assert [(one.hit.id, one.leaf) for one in found] == [("0", other.id)]
