import json
from pathlib import Path

import pytest
from PIL import Image

from curation.sources import FolderConfig, ReadFailure, Source, build, listed
from infra.errors import UserError


def picture(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), "red").save(path)
    return path


def source_of(folder: Path, **settings: object) -> Source:
    return build(FolderConfig.model_validate({"path": str(folder), **settings}), cache_dir=folder / "unused")


def test_pictures_at_any_depth_become_rows_in_order(tmp_path: Path) -> None:
    for name in ("b.png", "a.jpg", "cats/tom.webp", ".hidden/x.png", "notes.md", "cats/.y.png"):
        picture(tmp_path / name) if name.endswith(("png", "jpg", "webp")) else (tmp_path / name).write_text("x")
    rows = listed(source_of(tmp_path, licence="CC0-1.0")).to_pylist()
    assert [row["locator"] for row in rows] == ["a.jpg", "b.png", "cats/tom.webp"]
    assert [row["category"] for row in rows] == ["", "", "cats"]
    assert {row["licence"] for row in rows} == {"CC0-1.0"}
    assert len({row["id"] for row in rows}) == 3


def test_captions_come_from_text_files_and_the_lines_file_wins(tmp_path: Path) -> None:
    for name in ("one.png", "two.png", "three.png"):
        picture(tmp_path / name)
    (tmp_path / "one.txt").write_text("A red\n square. ", encoding="utf-8")
    (tmp_path / "two.txt").write_text("not this one")
    line = {
        "file_name": "two.png",
        "text": "a crimson tile",
        "text_zh": "红砖",
        "licence": "CC0-1.0",
        "attribution": "Ann",
        "concept": "tile",
    }
    (tmp_path / "captions.jsonl").write_text(json.dumps(line) + "\n\n", encoding="utf-8")
    rows = {row["locator"]: row for row in listed(source_of(tmp_path)).to_pylist()}
    assert rows["one.png"]["text_en"] == "A red square."
    assert (rows["two.png"]["text_en"], rows["two.png"]["text_zh"]) == ("a crimson tile", "红砖")
    assert (rows["two.png"]["licence"], rows["two.png"]["attribution"]) == ("CC0-1.0", "Ann")
    assert rows["two.png"]["concept"] == "folder/tile"
    assert rows["three.png"]["text_en"] == ""  # a file name is no caption


def test_pictures_with_the_same_caption_share_a_split(tmp_path: Path) -> None:
    for number in range(40):
        picture(tmp_path / f"{number}.png")
        (tmp_path / f"{number}.txt").write_text("Red square." if number % 2 else " red   square ")
    rows = listed(source_of(tmp_path, heldout_share=0.5)).to_pylist()
    assert len({row["split"] for row in rows}) == 1
    assert len({row["concept"] for row in rows}) == 1


def test_files_are_read_as_they_are_and_a_missing_one_is_a_failure(tmp_path: Path) -> None:
    path = picture(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"broken, but that is for the decoder to say")
    read = source_of(tmp_path).read(["a.png", "gone.png", "b.png"])
    assert read[0] == path.read_bytes()
    assert isinstance(read[1], ReadFailure)
    assert "gone.png" in read[1].reason
    assert read[2] == (tmp_path / "b.png").read_bytes()


def test_what_the_user_got_wrong_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no folder at .*/nowhere"):
        listed(source_of(tmp_path / "nowhere"))
    with pytest.raises(UserError, match="no pictures below"):
        listed(source_of(tmp_path))
    picture(tmp_path / "a.png")
    with pytest.raises(UserError, match=r"no captions file at .*missing\.jsonl"):
        listed(source_of(tmp_path, captions_file="missing.jsonl"))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{not json", "line 1.*JSON"),
        ('{"file": "a.png", "txt": "x"}', "line 1: txt: Extra"),
        ('{"text_en": "x"}', "line 1: file"),
        ('{"file": "z.png"}', "line 1 names 'z.png', which is not a picture"),
    ],
)
def test_a_wrong_caption_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    picture(tmp_path / "a.png")
    (tmp_path / "captions.jsonl").write_text(line)
    with pytest.raises(UserError, match=message):
        listed(source_of(tmp_path))


def test_a_caption_in_another_encoding_is_named(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    (tmp_path / "a.txt").write_bytes("Käse".encode("latin-1"))
    with pytest.raises(UserError, match=r"a\.txt as UTF-8"):
        listed(source_of(tmp_path))
