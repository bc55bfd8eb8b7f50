"""Our side of the benchmark: one pass over files from bytes to decisions."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from infra.settings import CODE_ROOT
from pipelines.bench.corpus.render import make_corpus
from pipelines.bench.curate import FILTERS
from pipelines.bench.curate_ours import LEGS
from pipelines.bench.curate_score import Reported, score


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.parametrize("leg", LEGS)
def test_a_pass_over_a_small_corpus_is_right(tmp_path: Path, leg: str):
    folder, truth = make_corpus(tmp_path, num_files=200, seed=11)
    result = tmp_path / "result.json"
    command = [sys.executable, "-m", "pipelines.bench.curate_ours", leg, str(folder), str(result)]
    subprocess.run(command, check=True, cwd=CODE_ROOT)
    scores = score(Reported.model_validate(json.loads(result.read_text())), truth, folder, filters=FILTERS)
    assert scores["bad_found"] == scores["bad_total"] == 3
    assert scores["false_rejects"] == scores["lost_pictures"] == scores["left_duplicates"] == 0
    assert scores["near_dup_recall"] == scores["near_dup_precision"] == 1.0
