import os
from pathlib import Path

import pytest

from curation.traces import BLOCK_BYTES, PIECE_BYTES, Trace, search, trace_of

PICTURE = os.urandom(3000)


@pytest.mark.parametrize("before", [0, 1, 7, 8, 1021, BLOCK_BYTES - 5, BLOCK_BYTES - 1500, 2 * BLOCK_BYTES - PIECE_BYTES])
def test_a_picture_is_found_at_any_place_in_a_file(tmp_path: Path, before: int):
    (tmp_path / "page").write_bytes(os.urandom(before) + PICTURE + os.urandom(99))
    found = search(str(tmp_path), [trace_of("a", PICTURE), trace_of("b", os.urandom(3000))])
    assert [(hit.id, hit.file) for hit in found.hits] == [("a", "page")]
    assert (found.num_files, found.num_bytes) == (1, before + len(PICTURE) + 99)


@pytest.mark.parametrize("size", [1, 7, 8, 50, PIECE_BYTES, PIECE_BYTES + 1])
def test_a_small_picture_is_found_as_a_file(tmp_path: Path, size: int):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "file").write_bytes(PICTURE[:size])
    assert [hit.file for hit in search(str(tmp_path), [trace_of("a", PICTURE[:size])]).hits] == ["deep/file"]


def test_a_header_that_pictures_share_is_no_picture(tmp_path: Path):
    (tmp_path / "file").write_bytes(PICTURE[:2600] + os.urandom(400))
    assert search(str(tmp_path), [trace_of("a", PICTURE)]).hits == ()


def test_a_trace_keeps_no_more_of_the_picture_than_its_anchors():
    text = trace_of("a", PICTURE).model_dump_json()
    kept = bytes.fromhex("".join(piece.anchor for piece in Trace.model_validate_json(text).pieces))
    assert len(kept) == 32
    assert not any(PICTURE[start : start + 9].hex() in text for start in range(len(PICTURE) - 8))


def test_the_digest_of_a_search_names_the_files_and_their_content(tmp_path: Path):
    (tmp_path / "file").write_bytes(b"one")
    first = search(str(tmp_path), [])
    assert search(str(tmp_path), []).files_sha256 == first.files_sha256
    (tmp_path / "file").write_bytes(b"two")
    assert search(str(tmp_path), []).files_sha256 != first.files_sha256


def test_a_folder_that_is_not_there_holds_nothing(tmp_path: Path):
    assert search(str(tmp_path / "none"), [trace_of("a", PICTURE)]).num_files == 0
