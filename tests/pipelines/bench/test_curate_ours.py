"""Our side of the benchmark: near duplicates by brute force, and one pass over files from bytes to decisions."""

import json
import subprocess
import sys

import numpy as np
import pytest

from infra.settings import CODE_ROOT
from pipelines.bench.corpus.render import make_corpus
from pipelines.bench.curate import FILTERS
from pipelines.bench.curate_ours import near_pairs
from pipelines.bench.curate_score import Reported, score


def test_near_pairs_need_close_hashes_and_alike_thumbnails():
    generator = np.random.default_rng(0)
    base = generator.normal(size=(1, 256)).astype(np.float32)
    thumbnails = np.concatenate([base, base * 1.1, generator.normal(size=(2, 256)).astype(np.float32)])
    hashes = np.array([0, 0b1111, 0b11, 2**40 - 1], dtype=np.uint64)
    ours, theirs = near_pairs(hashes, thumbnails, block=3)
    assert list(zip(ours.tolist(), theirs.tolist(), strict=True)) == [(0, 1)]


def test_pictures_without_any_content_are_one_picture():
    ours, _ = near_pairs(np.zeros(3, np.uint64), np.zeros((3, 256), np.float32))
    assert len(ours) == 3


@pytest.mark.slow
def test_a_pass_over_a_small_corpus_is_right(tmp_path):
    folder, truth = make_corpus(tmp_path, num_files=200, seed=11)
    result = tmp_path / "result.json"
    command = [sys.executable, "-m", "pipelines.bench.curate_ours", str(folder), str(result)]
    subprocess.run(command, check=True, cwd=CODE_ROOT)
    scores = score(Reported.model_validate(json.loads(result.read_text())), truth, folder, filters=FILTERS)
    assert scores["bad_found"] == scores["bad_total"] == 3
    assert scores["false_rejects"] == scores["lost_pictures"] == scores["left_duplicates"] == 0
    assert scores["near_dup_recall"] == scores["near_dup_precision"] == 1.0
