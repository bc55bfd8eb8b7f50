"""Every source, on real files that the test writes: what it lists, what it reads, and what stays when it is listed again."""

import hashlib
import http.server
import io
import json
import pickle
import tarfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import lance
import numpy as np
import pyarrow as pa
import pypdfium2
import pytest
from PIL import Image
from pyarrow import parquet

from curation.decode import decode
from curation.fetch import FetchConfig
from curation.sources import (
    HuggingFaceConfig,
    LanceTableConfig,
    ParquetConfig,
    PdfConfig,
    ReadFailure,
    S3Config,
    Source,
    UrlListConfig,
    WebDatasetConfig,
    build,
    fingerprint,
    listed,
)
from curation.sources.described import Columns, Defaults
from curation.sources.protocol import ROWS_SCHEMA, BadShard
from infra.errors import UserError

NUM = 7
TEXTS = ["A red square.", "a red  SQUARE", "一只红色的猫", "Blue", "", "An oak in fog", "café"]
LICENCES = ["CC0-1.0", "CC-BY-4.0", "", "CC0-1.0", "", "", ""]


def picture(seed: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (12, 16, 3), dtype=np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


PICTURES = [picture(seed) for seed in range(NUM)]


def records() -> list[dict[str, object]]:
    return [
        {"id": f"k{index}", "image": PICTURES[index], "text": TEXTS[index], "licence": LICENCES[index], "attribution": "Ann"}
        for index in range(NUM)
    ]


def write_tar(path: Path, samples: list[tuple[str, dict[str, bytes]]]) -> Path:
    with tarfile.open(path, "w") as tar:
        for key, members in samples:
            for ending, content in members.items():
                info = tarfile.TarInfo(f"{key}{ending}")
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    return path


def webdataset(folder: Path) -> Source:
    samples: list[tuple[str, dict[str, bytes]]] = []
    for index, record in enumerate(records()):
        said = json.dumps({"caption": record["text"], "licence": record["licence"], "attribution": "Ann"}).encode()
        samples.append((f"a/k{index}", {".json": said, ".png": PICTURES[index]}))
    write_tar(folder / "00000.tar", samples[:4])
    write_tar(folder / "00001.tar", [*samples[4:], ("a/without", {".json": b"{}"})])
    return build(WebDatasetConfig(path=str(folder)), cache_dir=folder)


def parquet_files(folder: Path) -> Source:
    table = pa.Table.from_pylist(records())
    parquet.write_table(table.slice(0, 4), folder / "a.parquet", row_group_size=3)
    parquet.write_table(table.slice(4), folder / "b.parquet")
    return build(ParquetConfig(path=str(folder)), cache_dir=folder)


def lance_table(folder: Path) -> Source:
    gone = {"id": "gone", "image": b"x", "text": "x", "licence": "", "attribution": ""}
    table = pa.Table.from_pylist([*records(), gone])
    lance.write_dataset(table, folder / "t.lance", max_rows_per_file=3)
    lance.dataset(folder / "t.lance").delete("id IN ('gone')")
    return build(LanceTableConfig(path=str(folder / "t.lance")), cache_dir=folder)


def saved_dataset(folder: Path) -> Source:
    from datasets import Dataset, Features, Value
    from datasets import Image as ImageFeature

    features = Features(
        {
            "id": Value("string"),
            "image": ImageFeature(),
            "text": Value("string"),
            "licence": Value("string"),
            "attribution": Value("string"),
        }
    )
    Dataset.from_list(records(), features=features).save_to_disk(str(folder / "saved"))
    return build(HuggingFaceConfig(path=str(folder / "saved"), shard_rows=3), cache_dir=folder)


def streamed_dataset(folder: Path) -> Source:
    table = pa.Table.from_pylist(records())
    (folder / "files").mkdir()
    parquet.write_table(table.slice(0, 4), folder / "files" / "train-0.parquet")
    parquet.write_table(table.slice(4), folder / "files" / "train-1.parquet")
    return build(HuggingFaceConfig(path=str(folder / "files"), streaming=True, id="id"), cache_dir=folder)


TABLES: dict[str, Callable[[Path], Source]] = {
    "webdataset": webdataset, "parquet": parquet_files, "lance": lance_table, "huggingface": saved_dataset,
    "huggingface streaming": streamed_dataset,
}  # fmt: skip


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))


@pytest.mark.parametrize("kind", TABLES)
def test_rows_keep_text_licence_and_whom_to_name(kind: str, tmp_path: Path) -> None:
    source = TABLES[kind](tmp_path)
    rows = listed(source)
    assert rows.schema.equals(ROWS_SCHEMA)
    found = rows.to_pylist()
    assert [row["text_en"] for row in found] == [text if text != TEXTS[2] else "" for text in TEXTS]
    assert [row["text_zh"] for row in found] == ["", "", TEXTS[2], "", "", "", ""]
    assert [row["licence"] for row in found] == [licence or "unknown" for licence in LICENCES]
    assert {row["attribution"] for row in found} == {"Ann"}
    assert {row["source"] for row in found} == {source.name}
    assert len({row["id"] for row in found}) == NUM
    assert found[0]["concept"] == found[1]["concept"] != found[3]["concept"]
    assert found[0]["split"] == found[1]["split"]


@pytest.mark.parametrize("kind", TABLES)
def test_pictures_are_read_by_locator_in_any_order_and_in_a_worker(kind: str, tmp_path: Path) -> None:
    source = TABLES[kind](tmp_path)
    locators = listed(source)["locator"].to_pylist()
    order = [5, 0, 6, 3, 3, 1, 2, 4]
    worker: Source = pickle.loads(pickle.dumps(source))
    assert worker.read([locators[index] for index in order]) == [PICTURES[index] for index in order]
    assert worker.read([]) == []


@pytest.mark.parametrize("kind", TABLES)
def test_listing_again_gives_the_same_ids_and_shards_own_their_rows(kind: str, tmp_path: Path) -> None:
    source = TABLES[kind](tmp_path)
    shards = list(source.shards())
    assert len({shard.name for shard in shards}) == len(shards) >= 2
    for shard in shards:
        for table in source.rows(shard.name):
            assert {source.shard_of(locator) for locator in table["locator"].to_pylist()} == {shard.name}
    assert listed(source) == listed(source)
    assert fingerprint(source) == fingerprint(source)


def test_a_tar_sample_keeps_its_id_when_others_come_before_it(tmp_path: Path) -> None:
    samples = [(f"k{index}", {".png": PICTURES[index], ".txt": TEXTS[index].encode()}) for index in range(4)]
    path = write_tar(tmp_path / "0.tar", samples[2:])
    source = build(WebDatasetConfig(path=str(path)), cache_dir=tmp_path)
    before, stamp = listed(source)["id"].to_pylist(), fingerprint(source)
    write_tar(path, samples)
    again = listed(source).to_pylist()
    assert before == [row["id"] for row in again][2:]
    assert again[0]["text_en"] == TEXTS[0]
    assert fingerprint(source) != stamp
    assert source.read([row["locator"] for row in again]) == PICTURES[:4]


def test_a_tar_is_never_unpacked_and_keys_end_at_the_first_dot(tmp_path: Path) -> None:
    path = tmp_path / "odd.tar"
    write_tar(path, [("../../escape.v1", {".PNG": PICTURES[0]}), ("deep.x/p", {".jpg": PICTURES[1], ".json": b"[1]"})])
    with tarfile.open(path, "a") as tar:
        link = tarfile.TarInfo("link.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    source = build(WebDatasetConfig(path=str(path), defaults=Defaults(licence="CC0-1.0")), cache_dir=tmp_path)
    rows = listed(source).to_pylist()
    assert [row["id"].rpartition(".tar/")[2] for row in rows] == ["deep.x/p"]  # "v1.png" is no picture's ending
    assert rows[0]["licence"] == "CC0-1.0"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["odd.tar"]


def test_a_tar_that_was_cut_short_gives_what_is_there_and_says_so(tmp_path: Path) -> None:
    samples = [(f"k{index}", {".png": PICTURES[index]}) for index in range(NUM)]
    path = write_tar(tmp_path / "0.tar", samples)
    content = path.read_bytes()
    path.write_bytes(content[: 512 * 9 + 100])
    source = build(WebDatasetConfig(path=str(path)), cache_dir=tmp_path)
    given = source.rows("0.tar")
    assert next(given)["id"].to_pylist() == ["webdataset/0/0.tar/k0", "webdataset/0/0.tar/k1"]   # k2 may have lost its caption
    with pytest.raises(BadShard, match=r"0\.tar: no end mark at byte 4608"):
        next(given)
    write_tar(path, [(f"k{index:04}", {".png": PICTURES[0]}) for index in range(1100)])
    path.write_bytes(path.read_bytes()[: 1536 * 1050])
    given = source.rows("0.tar")
    assert [next(given).num_rows, next(given).num_rows] == [1024, 25]
    with pytest.raises(BadShard, match="cut short"):
        next(given)
    path.write_bytes(b"\x1f\x8b" + bytes(600))
    with pytest.raises(BadShard, match="expected an uncompressed tar"):
        list(source.rows("0.tar"))


def test_a_column_that_is_not_there_is_named(tmp_path: Path) -> None:
    parquet_files(tmp_path)
    source = build(ParquetConfig(path=str(tmp_path), image="picture"), cache_dir=tmp_path)
    with pytest.raises(UserError, match="no column 'picture'; it has id, image, text"):
        listed(source)
    with pytest.raises(UserError, match=r"no file ending in \.parquet at .*nowhere"):
        listed(build(ParquetConfig(path=str(tmp_path / "nowhere")), cache_dir=tmp_path))


def test_an_empty_cell_and_a_missing_file_are_failures_of_their_rows(tmp_path: Path) -> None:
    parquet.write_table(pa.table({"image": pa.array([PICTURES[0], None], pa.binary())}), tmp_path / "a.parquet")
    source = build(ParquetConfig(path=str(tmp_path / "a.parquet")), cache_dir=tmp_path)
    locators = listed(source)["locator"].to_pylist()
    good, empty = source.read(locators)
    assert good == PICTURES[0]
    assert isinstance(empty, ReadFailure)
    assert empty.kind == "missing"
    (tmp_path / "a.parquet").unlink()
    assert all(isinstance(one, ReadFailure) for one in source.read(locators))


@pytest.fixture
def website(tmp_path: Path) -> Iterator[str]:
    folder = tmp_path / "www"
    folder.mkdir()
    for index in range(NUM):
        (folder / f"{index}.png").write_bytes(PICTURES[index])

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *rest: object) -> None:
            super().__init__(*rest, directory=str(folder))  # pyright: ignore[reportArgumentType] - what the server gives

        def log_message(self, *rest: object) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
            return

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def manners(website: str) -> FetchConfig:
    port = int(website.rpartition(":")[2])
    return FetchConfig(ports=(port,), allowed_networks=("127.0.0.1",), host_interval_s=0.0, max_attempts=1, host_concurrency=8)


def write_list(path: Path, urls: list[str]) -> Path:
    rows = [{"url": url, "text": TEXTS[index % NUM], "licence": LICENCES[index % NUM]} for index, url in enumerate(urls)]
    match path.suffix:
        case ".txt":
            path.write_text("# a list\n" + "\n".join(urls) + "\n\n", encoding="utf-8")
        case ".jsonl":
            path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
        case ".csv":
            lines = [f'{row["url"]},"{row["text"]}",{row["licence"]}' for row in rows]
            path.write_text("\n".join(["url,text,licence", *lines]), encoding="utf-8")
        case _:
            parquet.write_table(pa.Table.from_pylist(rows), path)
    return path


@pytest.mark.parametrize("suffix", [".txt", ".jsonl", ".csv", ".parquet"])
def test_a_list_of_urls_is_fetched_once_a_url(suffix: str, tmp_path: Path, website: str) -> None:
    urls = [f"{website}/{index}.png" for index in range(NUM)]
    path = write_list(tmp_path / f"list{suffix}", [*urls, urls[0], "http://elsewhere.invalid/a.png", "ftp://x/y"])
    source = build(UrlListConfig(path=str(path), parts=4, fetch=manners(website)), cache_dir=tmp_path / "cache")
    rows = listed(source).to_pylist()
    assert len(rows) == NUM + 2
    by_url = {row["locator"]: row for row in rows}
    assert by_url[urls[3]]["id"] == f"urls/{hashlib.sha256(urls[3].encode()).hexdigest()[:32]}"
    if suffix != ".txt":
        assert (by_url[urls[0]]["text_en"], by_url[urls[2]]["text_zh"]) == (TEXTS[0], TEXTS[2])
        assert by_url[urls[1]]["licence"] == "CC-BY-4.0"
    read = dict(zip(by_url, source.read(list(by_url)), strict=True))
    assert [read[url] for url in urls] == PICTURES
    refused = read["ftp://x/y"]
    assert isinstance(refused, ReadFailure)
    assert refused.kind == "forbidden_scheme"
    for shard in source.shards():
        for table in source.rows(shard.name):
            assert {source.shard_of(locator) for locator in table["locator"].to_pylist()} == {shard.name}
    assert {each.name.partition("-")[0] for each in (tmp_path / "cache").iterdir()} == {"urls"}


def test_urls_in_a_column_are_fetched(tmp_path: Path, website: str) -> None:
    parquet.write_table(pa.table({"link": [f"{website}/1.png", f"{website}/none.png"]}), tmp_path / "a.parquet")
    config = ParquetConfig(path=str(tmp_path / "a.parquet"), image="link", fetch=manners(website))
    source = build(config, cache_dir=tmp_path)
    good, gone = source.read(listed(source)["locator"].to_pylist())
    assert good == PICTURES[1]
    assert isinstance(gone, ReadFailure)
    assert gone.kind == "not_found"


def test_a_list_with_a_broken_line_is_refused_and_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "list.jsonl").write_text('{"url": "http://example.org/a.png"}\nnot json\n')
    source = build(UrlListConfig(path=str(tmp_path / "list.jsonl")), cache_dir=tmp_path / "cache")
    with pytest.raises(UserError, match=r"list\.jsonl line 2"):
        list(source.shards())
    assert list((tmp_path / "cache").iterdir()) == []
    with pytest.raises(UserError, match="no list at"):
        list(build(UrlListConfig(path=str(tmp_path / "none.txt")), cache_dir=tmp_path).shards())


def write_pdf(path: Path, sizes: list[tuple[float, float]]) -> Path:
    with pypdfium2.PdfDocument.new() as document:
        for width, height in sizes:
            document.new_page(width, height).close()
        document.save(str(path))
    return path


def test_pages_of_documents_become_pictures(tmp_path: Path) -> None:
    write_pdf(tmp_path / "a.pdf", [(200, 100), (14_400, 14_400)])
    write_pdf(tmp_path / "b.pdf", [(72, 72)])
    (tmp_path / "broken.pdf").write_bytes(b"%PDF-1.7\nnothing follows")
    source = build(PdfConfig(path=str(tmp_path), dpi=72, max_side_px=512), cache_dir=tmp_path)
    with pytest.raises(BadShard, match=r"broken\.pdf"):
        list(source.rows("broken.pdf"))
    (tmp_path / "broken.pdf").unlink()
    rows = listed(source).to_pylist()
    assert [row["id"].rpartition("/")[2] for row in rows] == ["00001", "00002", "00001"]
    assert [row["category"] for row in rows] == ["document"] * 3
    assert rows[0]["concept"] == rows[1]["concept"] != rows[2]["concept"]
    read = source.read([row["locator"] for row in rows] + ["a.pdf#7", "gone.pdf#0"])
    shapes = [decode(one).shape[:2] for one in read if isinstance(one, bytes)]
    assert shapes == [(100, 200), (512, 512), (72, 72)]
    assert [isinstance(one, ReadFailure) for one in read] == [False] * 3 + [True] * 2


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def test_a_prefix_of_a_bucket_is_a_tree_of_pictures(s3: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import boto3

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "y")
    client = boto3.client("s3", endpoint_url=s3, region_name="us-east-1")
    client.create_bucket(Bucket="lake")
    objects = {
        "in/a.png": PICTURES[0], "in/a.txt": b"A red square.", "in/cats/b.jpg": PICTURES[1], "in/cats/deep/c.webp": PICTURES[2],
        "in/.hidden/x.png": b"x", "in/notes.md": b"x", "other/z.png": b"x",
        "in/captions.jsonl": json.dumps({"file": "cats/b.jpg", "text_zh": "猫", "licence": "CC0-1.0"}).encode(),
    }  # fmt: skip
    for key, content in objects.items():
        client.put_object(Bucket="lake", Key=key, Body=content)
    source = build(S3Config(path="lake/in", endpoint_url=s3, region="us-east-1"), cache_dir=tmp_path)
    rows = listed(source).to_pylist()
    assert [row["locator"] for row in rows] == ["a.png", "cats/b.jpg", "cats/deep/c.webp"]
    assert rows[0]["id"] == "s3/lake/in/a.png"
    assert (rows[0]["text_en"], rows[1]["text_zh"], rows[1]["licence"], rows[1]["category"]) == (
        "A red square.",
        "猫",
        "CC0-1.0",
        "cats",
    )
    worker: Source = pickle.loads(pickle.dumps(source))
    *good, gone = worker.read([*(row["locator"] for row in rows), "gone.png"])
    assert good == PICTURES[:3]
    assert isinstance(gone, ReadFailure)
    assert gone.kind == "missing"
    stamp = fingerprint(source)
    client.put_object(Bucket="lake", Key="in/cats/new.png", Body=PICTURES[3])
    assert fingerprint(source) != stamp
    with pytest.raises(UserError, match="no folder at s3://lake/nothing"):
        listed(build(S3Config(path="lake/nothing", endpoint_url=s3, region="us-east-1"), cache_dir=tmp_path))
    with pytest.raises(UserError, match="cannot list s3://absent"):
        listed(build(S3Config(path="absent", endpoint_url=s3, region="us-east-1"), cache_dir=tmp_path))


def test_columns_may_have_other_names(tmp_path: Path) -> None:
    table = pa.table({"img": [PICTURES[0]], "alt": ["a tile"], "rights": ["CC0-1.0"], "who": ["Bo"], "nr": [7]})
    parquet.write_table(table, tmp_path / "a.parquet")
    columns = Columns(text="alt", licence="rights", attribution="who")
    config = ParquetConfig(path=str(tmp_path / "a.parquet"), image="img", id="nr", columns=columns)
    (row,) = listed(build(config, cache_dir=tmp_path)).to_pylist()
    assert (row["text_en"], row["licence"], row["attribution"], row["id"]) == ("a tile", "CC0-1.0", "Bo", "parquet/a/a.parquet/7")
