import json
import re
from pathlib import Path

import lance
import numpy as np
import pyarrow as pa
import pytest

from curation import commit
from curation.decode import encode_png
from curation.signals.features import SIGNAL as FEATURES
from curation.tables import FEATURE_DIM, IMAGES_SCHEMA
from infra.errors import UserError
from infra.session import Session
from infra.settings import Settings
from infra.storage import Workspace
from pipelines.exports import exports_showing
from pipelines.label import Question, command, export, import_labels

QUESTION = Question("warm", "Is it <warm>?")
NUM = 120


def _colours() -> list[tuple[int, int, int]]:
    """Reds and blues by turns."""
    return [(200 + n % 50, 20, 30) if n % 2 else (30, 20, 200 + n % 50) for n in range(NUM)]


@pytest.fixture
def table(workspace: Workspace) -> str:
    """Pictures of one colour each; as in a network's features, the colour is one direction among many and on no axis."""
    uri = workspace.uri("tables", "images.lance")
    schema = pa.schema([*IMAGES_SCHEMA, *FEATURES.schema])
    commit.create(uri, schema)
    empty = {field.name: "" for field in IMAGES_SCHEMA} | {"parents": []}
    measured = {FEATURES.version_column: FEATURES.version, FEATURES.error_column: None}
    random, rows = np.random.default_rng(0), []
    directions = random.normal(size=(3, FEATURE_DIM)).astype(np.float32)
    for number, colour in enumerate(_colours()):
        vector = random.normal(size=FEATURE_DIM).astype(np.float32)
        vector += np.array(colour, dtype=np.float32) / 255 @ directions
        picture = encode_png(np.full((8, 8, 3), colour, dtype=np.uint8))
        name = f"{'red' if number % 2 else 'blue'} card </script>"
        row = {"id": f"c/{number:03d}", "image": picture, "text_en": name, "image_features": vector.tolist()}
        rows.append(empty | row | measured)
    commit.append_table(uri, pa.Table.from_pylist(rows, schema=schema))
    return uri


def _asked(page: Path) -> dict:
    found = re.search(r'<script type="application/json" id="asked">(.*?)</script>', page.read_text(encoding="utf-8"), re.S)
    assert found is not None
    return json.loads(found.group(1))


def _answered(page: Path, file: Path) -> Path:
    """The file that a person saves who knows red from blue."""
    asked = _asked(page)
    labels = [{"id": row["id"], "value": int(row["id"][2:]) % 2 == 1} for row in asked["rows"]]
    file.write_text(json.dumps({"name": asked["name"], "question": asked["question"], "labels": labels}))
    return file


def test_the_page_holds_pictures_and_question_and_asks_the_network_for_nothing(table: str, session: Session, tmp_path: Path):
    page = tmp_path / "page.html"
    assert export(QUESTION, session, page, limit=12) == 12
    asked = _asked(page)
    assert asked["question"] == QUESTION.text
    assert len({row["id"] for row in asked["rows"]}) == 12
    assert all(row["picture"].startswith("data:image/webp;base64,") and row["score"] is None for row in asked["rows"])
    text = page.read_text(encoding="utf-8")
    assert "http:" not in text
    assert "https:" not in text
    assert text.count("</script>") == 2          # names of pictures cannot end the script they are in
    (noted,) = exports_showing([row["id"] for row in asked["rows"]], session.workspace)
    assert noted.file == str(page)


@pytest.mark.ray
@pytest.mark.slow
def test_answers_become_scores_and_the_next_page_asks_about_the_uncertain(
    table: str, session: Session, workspace: Workspace, tmp_path: Path, local_ray: None
):
    page = tmp_path / "page.html"
    export(QUESTION, session, page, limit=24)
    first = {row["id"] for row in _asked(page)["rows"]}
    said = import_labels(_answered(page, tmp_path / "labels.json"), session)
    assert "of 24 labels told when held out" in said
    assert f"{NUM} rows scored in label_warm_score" in said
    rows = lance.dataset(table).to_table(columns=["id", "label_warm_score", "label_warm_version"]).to_pylist()
    right = [(row["label_warm_score"] > 0.5) == (int(row["id"][2:]) % 2 == 1) for row in rows]
    assert sum(right) >= 0.9 * NUM
    assert len({row["label_warm_version"] for row in rows}) == 1
    lines = workspace.read_text("labels", "warm", "labels.jsonl").splitlines()
    assert [set(json.loads(line)) for line in lines] == [{"id", "value"}] * 24

    export(QUESTION, session, page, limit=4)
    second = _asked(page)["rows"]
    left = sorted(abs(row["label_warm_score"] - 0.5) for row in rows if row["id"] not in first)
    assert first.isdisjoint(row["id"] for row in second)
    assert all(abs(row["score"] - 0.5) <= left[39] + 1e-6 for row in second)

    again = import_labels(_answered(page, tmp_path / "more.json"), session)
    assert "of 28 labels" in again
    versions = lance.dataset(table).to_table(columns=["label_warm_version"])["label_warm_version"].unique().to_pylist()
    assert len(versions) == 1
    assert versions[0] != rows[0]["label_warm_version"]


def test_labels_are_kept_when_there_are_too_few_to_fit(table: str, session: Session, workspace: Workspace, tmp_path: Path):
    file = tmp_path / "labels.json"
    file.write_text(json.dumps({"name": "warm", "question": "?", "labels": [{"id": "c/000", "value": False}]}))
    with pytest.raises(UserError, match="0 yes and 1 no are labelled"):
        import_labels(file, session)
    assert workspace.read_text("labels", "warm", "labels.jsonl") == '{"id":"c/000","value":false}\n'


def test_labels_of_another_workspace_are_refused(table: str, session: Session, workspace: Workspace, tmp_path: Path):
    file = tmp_path / "labels.json"
    file.write_text(json.dumps({"name": "warm", "question": "?", "labels": [{"id": "elsewhere", "value": True}]}))
    with pytest.raises(UserError, match="1 of 1 labels name rows that are not in"):
        import_labels(file, session)
    assert not workspace.exists("labels", "warm")


def test_a_name_stands_for_one_question(table: str, session: Session, tmp_path: Path):
    export(QUESTION, session, tmp_path / "page.html", limit=4)
    with pytest.raises(UserError, match="'warm' already asks 'Is it <warm>\\?', not 'Is it hot\\?'"):
        export(Question("warm", "Is it hot?"), session, tmp_path / "page.html", limit=4)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["export", "--signal", "cold"], "no question 'cold' in"),
        (["export", "--question", "好吗"], "cannot name a column; give --name"),
        (["export", "--question", "Is it?", "--limit", "0"], "--limit 0: expected 1 or more"),
        (["export", "--question", "Is it?", "--out", "/no/such/page.html"], "there is no folder /no/such"),
        (["import", "/no/such/labels.json"], "no file /no/such/labels.json"),
    ],
)
def test_what_the_user_got_wrong_is_said(settings: Settings, words: list[str], message: str):
    with pytest.raises(UserError, match=message):
        command(words, settings)
