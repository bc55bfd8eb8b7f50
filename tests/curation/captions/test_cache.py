import subprocess
import sys
from pathlib import Path

import pytest

from curation.captions.cache import Generation, Request, RequestCache, Stored
from infra.settings import CODE_ROOT

GENERATION = Generation(max_new_tokens=8, longest_px=64)
REQUEST = Request("picture", "prompt", "model", GENERATION)


def _answer(key: str, text: str = "a red apple") -> Stored:
    return Stored(key=key, text=text, num_tokens=3, is_cut=False)


def test_an_answer_is_found_again_and_counted(tmp_path: Path) -> None:
    cache = RequestCache(str(tmp_path))
    assert cache.find(REQUEST) is None
    cache.keep(_answer(REQUEST.key))
    assert RequestCache(str(tmp_path)).find(REQUEST) == _answer(REQUEST.key)
    assert cache.find(REQUEST) is not None
    assert (cache.num_hits, cache.num_misses) == (1, 1)


def test_everything_that_decides_an_answer_is_in_the_key() -> None:
    others = [
        REQUEST._replace(picture="x"), REQUEST._replace(prompt="x"), REQUEST._replace(model="x"),
        REQUEST._replace(generation=Generation(max_new_tokens=9, longest_px=64)),
        REQUEST._replace(generation=Generation(max_new_tokens=8, longest_px=65)),
    ]  # fmt: skip
    assert len({REQUEST.key, *(other.key for other in others)}) == 6
    assert Request("picture", "prompt", "model", Generation(max_new_tokens=8, longest_px=64)).key == REQUEST.key


@pytest.mark.parametrize("content", ["", '{"key": "', '{"key": "other", "text": "x", "num_tokens": 1, "is_cut": false}'])
def test_a_damaged_answer_counts_as_missing_and_can_be_written_anew(tmp_path: Path, content: str) -> None:
    cache = RequestCache(str(tmp_path))
    cache.keep(_answer(REQUEST.key))
    (file,) = tmp_path.rglob("*.json")
    file.write_text(content)
    assert cache.find(REQUEST) is None
    cache.keep(_answer(REQUEST.key))
    assert cache.find(REQUEST) is not None


_WRITE_MANY = """
import sys
from curation.captions.cache import Generation, Request, RequestCache, Stored

cache = RequestCache(sys.argv[1])
for index in range(30):
    request = Request(str(index), "prompt", "model", Generation(max_new_tokens=8, longest_px=64))
    cache.keep(Stored(key=request.key, text=f"answer {index}", num_tokens=3, is_cut=False))
    assert cache.find(request) is not None
"""


def test_many_workers_write_the_same_answers_at_once(tmp_path: Path) -> None:
    workers = [subprocess.Popen([sys.executable, "-c", _WRITE_MANY, str(tmp_path)], cwd=CODE_ROOT) for _ in range(3)]
    assert [worker.wait(120) for worker in workers] == [0, 0, 0]
    assert len(list(tmp_path.rglob("*.json"))) == 30
    assert not list(tmp_path.rglob("*.part"))
    cache = RequestCache(str(tmp_path))
    found = [cache.find(REQUEST._replace(picture=str(index))) for index in range(30)]
    assert [one and one.text for one in found] == [f"answer {index}" for index in range(30)]
