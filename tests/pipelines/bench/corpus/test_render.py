"""The files of the corpus: the same bytes again, and each what the truth says it is."""

import io
from pathlib import Path

import pytest
from PIL import Image, UnidentifiedImageError

from pipelines.bench.corpus.render import Truth, make_corpus


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Truth]:
    return make_corpus(tmp_path_factory.mktemp("first"), num_files=100, seed=3, workers=1)


def test_the_same_seed_gives_the_same_bytes(corpus, tmp_path):
    assert make_corpus(tmp_path, num_files=100, seed=3, workers=2)[1] == corpus[1]


def test_a_corpus_that_is_there_is_found_again(corpus):
    folder, truth = corpus
    (folder / truth.files[0].name).touch()
    before = (folder / truth.files[0].name).stat().st_mtime_ns
    assert make_corpus(folder.parent.parent.parent, num_files=100, seed=3) == corpus
    assert (folder / truth.files[0].name).stat().st_mtime_ns == before


def test_every_file_is_what_the_truth_says(corpus):
    folder, truth = corpus
    for one in truth.files:
        path = folder / one.name
        match one.kind:
            case "html":
                with pytest.raises(UnidentifiedImageError):
                    Image.open(io.BytesIO(path.read_bytes()))
            case "truncated":
                with Image.open(path) as image, pytest.raises(OSError, match="truncated"):
                    image.load()
            case "exact":
                assert path.read_bytes() == (folder / one.original).read_bytes()
            case _:
                with Image.open(path) as image:
                    image.load()
                    assert image.size == one.size
                    assert image.format == one.format.upper()
