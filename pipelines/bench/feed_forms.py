"""The same pictures in the form that each reader of the feed benchmark expects."""

import io
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as parquet

from curation import commit
from curation.tables import SELECTION_SCHEMA
from pipelines.bench.corpus.plan import SEED
from pipelines.bench.corpus.render import make_corpus
from pipelines.bench.reading import BATCH

NUM_SHARDS = 8
_ROWS_PER_GROUP = 64

_SCHEMA = pa.schema([pa.field("id", pa.string(), nullable=False), pa.field("image", pa.large_binary())])


def write_forms(cache_dir: Path, place: Path, *, num_files: int) -> int:
    """Write ``files.txt``, ``images.lance`` with ``selection.lance``, ``N.parquet`` and ``N.tar`` in the folder.

    Whole JPEG and PNG pictures of the corpus, in the order of their names, as many as fill batches; gives their number.
    """
    folder, truth = make_corpus(cache_dir, num_files=num_files, seed=SEED)
    names = [name for name in truth.clean if name.endswith((".jpg", ".png"))]
    names = names[: len(names) // BATCH * BATCH]
    place.joinpath("files.txt").write_text("\n".join(str(folder / name) for name in names))
    _write_lance(folder, names, place)
    size = -(-len(names) // NUM_SHARDS)
    for number in range(NUM_SHARDS):
        part = names[number * size : (number + 1) * size]
        parquet.write_table(_rows(folder, part), place / f"{number}.parquet", row_group_size=_ROWS_PER_GROUP)
        _write_tar(folder, part, place / f"{number}.tar")
    return len(names)


def _write_lance(folder: Path, names: list[str], place: Path) -> None:
    uri = str(place / "images.lance")
    commit.create(uri, _SCHEMA)
    commit.append_table(uri, _rows(folder, names))
    commit.write_selection(str(place / "selection.lance"), selected(dict.fromkeys(names, "")))


def selected(texts: Mapping[str, str]) -> pa.Table:
    """A selection of the pictures with these ids, each told by its text."""
    rows = [
        {
            "sample_id": name, "task": "t2i", "target_id": name, "reference_ids": [], "further_ids": [], "tags": [],
            "texts": [text], "text_weights": [1.0],
            "score_text": text, "split": "train", "weight": 1.0,
        }
        for name, text in texts.items()
    ]  # fmt: skip
    return pa.Table.from_pylist(rows, schema=SELECTION_SCHEMA)


def _rows(folder: Path, names: list[str]) -> pa.Table:
    return pa.Table.from_pylist([{"id": name, "image": (folder / name).read_bytes()} for name in names], schema=_SCHEMA)


def _write_tar(folder: Path, names: list[str], place: Path) -> None:
    with tarfile.open(place, "w") as tar:
        for name, content in _members(folder, names):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


def _members(folder: Path, names: list[str]) -> Iterator[tuple[str, bytes]]:
    """Every picture as ``NAME.jpg``, what a WebDataset is told samples and columns apart by."""
    for name in names:
        yield f"{name.replace('.', '_')}.jpg", (folder / name).read_bytes()
