"""`seedbed caption` with each of its writers, on a real table."""

import io
import json
from pathlib import Path

import lance
import pyarrow as pa
import pytest
from PIL import Image
from pydantic import ValidationError

from curation import commit
from curation.captions.cache import Generation
from curation.captions.columns import caption_columns, caption_sets
from curation.tables import IMAGES_SCHEMA, TableRef
from infra.session import Session
from pipelines.__main__ import EXIT_USER_ERROR, main
from pipelines.caption import CaptionConfig, TransformersWriter, run
from pipelines.recipes import caption as recipes

NAMES = ("red apple", "IMG_2034.jpg", "blue fish", "green leaf")


def _png(index: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (56, 56), (40 * index, 90, 200 - 40 * index)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def images(session: Session) -> TableRef:
    defaults = {field.name: [] if pa.types.is_list(field.type) else "" for field in IMAGES_SCHEMA}
    rows = [{**defaults, "id": f"x/{index}", "image": _png(index), "text_en": name} for index, name in enumerate(NAMES)]
    rows[3]["image"] = b"no picture"
    uri = session.workspace.uri("tables", "images.lance")
    commit.create(uri, IMAGES_SCHEMA)
    lance.write_dataset(pa.Table.from_pylist(rows, schema=IMAGES_SCHEMA), uri, mode="append")
    return TableRef(uri=uri)


def _model_config(images: TableRef, model: str, *, prompts: tuple[str, ...] = ("short_en",)) -> CaptionConfig:
    writer = TransformersWriter(
        model=model, prompts=prompts, batch_size=2, device="cpu", dtype="float32",
        generation=Generation(max_new_tokens=4, longest_px=56),
    )  # fmt: skip
    return CaptionConfig(images=images, writer=writer, workers=1)


@pytest.mark.ray
@pytest.mark.usefixtures("local_ray")
def test_captions_from_facts_refuse_what_is_none(images: TableRef, session: Session) -> None:
    outcome = run(CaptionConfig(images=images, workers=1), session)
    rows = lance.dataset(images.uri).to_table().to_pylist()
    assert rows[0]["captions_en"][1] == "A red apple."
    assert (rows[1]["captions_en"], len(rows[1]["captions_refused"])) == (["", "", ""], 3)
    assert outcome.metrics["caption/refused_leaking_texts"] == 3
    assert outcome.metrics["caption/boilerplate_share"] == 0
    assert "3 texts refused" in outcome.note
    assert outcome.outputs["captions"] == "captions_en"


@pytest.mark.ray
@pytest.mark.usefixtures("local_ray")
def test_a_model_has_columns_of_its_own_and_is_never_asked_twice(images: TableRef, session: Session, tiny_vlm: Path) -> None:
    first = run(_model_config(images, str(tiny_vlm)), session)
    assert (first.metrics["caption/requests"], first.metrics["caption/paid_requests"]) == (4, 3)
    both = run(_model_config(images, str(tiny_vlm), prompts=("short_en", "short_zh")), session)
    assert (both.metrics["caption/requests"], both.metrics["caption/paid_requests"]) == (8, 3)
    assert both.outputs["captions"] != first.outputs["captions"]
    dataset = lance.dataset(images.uri)
    assert len(caption_sets(dataset.schema)) == 2
    columns = caption_columns(caption_sets(dataset.schema)[0])
    row = dataset.to_table(columns=[columns.refused]).to_pylist()[3]
    assert json.loads(row[columns.refused][0])["reasons"] == ["unreadable"]
    again = run(_model_config(TableRef(uri=images.uri), str(tiny_vlm)), session)
    assert again == first                                   # the same job, found on record


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["model", "--set", "writer.model=/nowhere"], "no folder /nowhere"),
        (["model", "--set", "writer.prompts=[tiny_en]"], "no prompt 'tiny_en'"),
        (["cluster"], "vllm is not installed"),
    ],
)
def test_what_cannot_run_says_so_in_one_line(
    arguments: list[str], message: str, images: TableRef, session: Session, tiny_vlm: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if "prompts" in arguments[-1]:
        arguments = [*arguments, "--set", f"writer.model={tiny_vlm}"]
    assert main(["caption", *arguments, "--root", session.workspace.root]) == EXIT_USER_ERROR
    error = capsys.readouterr().err
    assert message in error
    assert len(error.strip().splitlines()) == 1


def test_recipes_are_whole(session: Session) -> None:
    kinds = {recipe: getattr(recipes, recipe)(session.workspace).writer.kind for recipe in ("default", "model", "cluster")}
    assert kinds == {"default": "structured", "model": "transformers", "cluster": "vllm"}
    with pytest.raises(ValidationError, match="writer"):
        CaptionConfig.model_validate({"images": {"uri": "x"}, "workers": 1, "writer": {"kind": "magic"}})
