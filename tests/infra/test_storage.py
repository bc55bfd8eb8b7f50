import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from infra.errors import UserError
from infra.storage import Workspace, digest_of, require_free_space


class Point(BaseModel):
    x: int
    y: dict[str, int]


def test_a_relative_root_becomes_absolute(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert Workspace("runs/work").uri("tables", "images.lance") == str(tmp_path / "runs/work/tables/images.lance")


def test_a_remote_root_gives_uris_and_keeps_its_query():
    workspace = Workspace("s3://lake/work?endpoint_override=127.0.0.1:5555")
    assert workspace.uri("tables", "images.lance") == "s3://lake/work/tables/images.lance?endpoint_override=127.0.0.1:5555"
    with pytest.raises(UserError, match="needs a local folder"):
        workspace.local("mlflow.db")


def test_text_comes_back_and_leaves_nothing_beside_it(workspace):
    workspace.write_text("erste Fassung", "jobs", "a.json")
    workspace.write_text("第二版", "jobs", "a.json")
    assert workspace.read_text("jobs", "a.json") == "第二版"
    assert [path.name for path in workspace.local("jobs").iterdir()] == ["a.json"]


def test_readers_never_see_half_a_text(workspace):
    texts = ["a" * 200_000, "b" * 200_000]
    workspace.write_text(texts[0], "record")
    seen: set[str] = set()

    def read() -> None:
        seen.update(workspace.read_text("record") for _ in range(200))

    reader = threading.Thread(target=read)
    reader.start()
    for index in range(100):
        workspace.write_text(texts[index % 2], "record")
    reader.join()
    assert seen <= set(texts)


def test_a_missing_text_is_named(workspace):
    with pytest.raises(UserError, match=r"no file at .*jobs/none\.json"):
        workspace.read_text("jobs", "none.json")


def test_sizes_of_folders_are_summed_up(workspace):
    assert workspace.size_bytes("bundles") == 0
    workspace.write_text("12345", "bundles", "a", "bundle.json")
    workspace.write_text("123", "bundles", "b", "deep", "bundle.json")
    assert workspace.size_bytes("bundles") == 8


def test_too_little_disk_space_is_refused_before_anything_is_written(tmp_path):
    require_free_space(tmp_path / "not" / "yet", 1)
    with pytest.raises(UserError, match="no disk space"):
        require_free_space(tmp_path / "not" / "yet", 10**18)
    assert list(tmp_path.iterdir()) == []


@given(st.dictionaries(st.text(max_size=5), st.integers(), min_size=2, max_size=5))
def test_a_digest_does_not_depend_on_the_order_of_keys(values):
    backwards = dict(reversed(values.items()))
    assert digest_of(Point(x=1, y=values)) == digest_of(Point(x=1, y=backwards))
    assert digest_of(Point(x=1, y=values)) != digest_of(Point(x=2, y=values))


def test_a_digest_is_the_head_of_sha256():
    assert digest_of(b"abc") == digest_of("abc") == "ba7816bf8f01"
    assert digest_of("abc", length=8) == "ba7816bf"


def test_an_unknown_kind_of_uri_is_a_user_error():
    with pytest.raises(UserError, match="cannot open gopher://hole"):
        Workspace("gopher://hole").exists("x")


def test_a_root_below_the_home_folder_is_expanded():
    assert Workspace("~/seedbed").root == str(Path.home() / "seedbed")
