"""Rows by number from the pinned table, on disk and in an object store."""

from collections.abc import Iterator
from pathlib import Path

import lance
import numpy as np
import pyarrow as pa
import pytest
import torch
from torch import Tensor

from curation.decode import encode_png
from curation.tables import TableRef
from train.decoding import decode_latent, decode_picture
from train.fetch import Fetched, Record, RowReader


def png(shade: int) -> bytes:
    return encode_png(np.full((6, 6, 3), shade, np.uint8))


def reader(ref: TableRef, *, cache_bytes: int = 1 << 20) -> RowReader:
    def decode(record: Record) -> Tensor:
        return decode_picture(record, size_px=4)

    return RowReader(ref, ["image"], decode, cache_bytes=cache_bytes)


@pytest.fixture
def pictures(tmp_path: Path) -> TableRef:
    """Five plain pictures, of which the third is cut short and the fourth is not there."""
    contents = [png(10), png(20), png(30)[:40], None, png(50)]
    table = pa.table({"id": list("abcde"), "image": pa.array(contents, pa.large_binary())})
    return TableRef(uri=str(tmp_path / "p.lance"), version=lance.write_dataset(table, str(tmp_path / "p.lance")).version)


def shades(fetched: Fetched) -> dict[int, int]:
    return {row: int(tensor[0, 0, 0]) for row, tensor in fetched.decoded.items()}


def test_every_row_is_decoded_or_told_of(pictures: TableRef) -> None:
    fetched = reader(pictures).fetch([4, 0, 2, 3, 0])
    assert shades(fetched) == {0: 10, 4: 50}
    assert fetched.decoded[0].shape == (3, 4, 4)
    assert fetched.undecodable.keys() == {2}
    assert "truncated" in fetched.undecodable[2]
    assert fetched.empty == (3,)


def test_what_is_held_is_not_read_again_and_stays_within_its_bound(pictures: TableRef) -> None:
    holding, holding_one, holding_none = (reader(pictures, cache_bytes=n) for n in (1 << 20, 3 * 4 * 4, 0))
    first, again = holding.fetch([0, 1]), holding.fetch([1, 0])
    assert again.decoded[0] is first.decoded[0]
    first = holding_one.fetch([0, 1])
    again = holding_one.fetch([0, 1])
    assert again.decoded[1] is first.decoded[1]                      # the last one used
    assert again.decoded[0] is not first.decoded[0]
    assert holding_none.fetch([0]).decoded[0] is not holding_none.fetch([0]).decoded[0]


def test_rows_are_those_of_the_pinned_version(pictures: TableRef) -> None:
    lance.dataset(pictures.uri).delete("id = 'a'")
    assert shades(reader(pictures).fetch([0, 1])) == {0: 10, 1: 20}


def test_blobs_are_read_whole(tmp_path: Path) -> None:
    schema = pa.schema([pa.field("id", pa.string()), lance.blob_field("image")])
    table = pa.table([pa.array(["a", "b", "c"]), lance.blob_array([png(10), None, png(30)])], schema=schema)
    version = lance.write_dataset(table, str(tmp_path / "b.lance"), data_storage_version="2.2").version
    fetched = reader(TableRef(uri=str(tmp_path / "b.lance"), version=version)).fetch([2, 1, 0])
    assert (shades(fetched), fetched.empty) == ({0: 10, 2: 30}, (1,))


def test_latents_come_back_to_the_last_bit(tmp_path: Path) -> None:
    latents = torch.randn(3, 2 * 3 * 5, generator=torch.Generator().manual_seed(0))
    columns = {"latent": pa.array(latents.tolist(), pa.list_(pa.float32())), "latent_shape": [[2, 3, 5]] * 3}
    version = lance.write_dataset(pa.table(columns), str(tmp_path / "l.lance")).version
    ref = TableRef(uri=str(tmp_path / "l.lance"), version=version)
    fetched = RowReader(ref, ["latent", "latent_shape"], decode_latent, cache_bytes=0).fetch([1, 2])
    assert torch.equal(fetched.decoded[2], latents[2].reshape(2, 3, 5))
    assert torch.equal(fetched.decoded[1], latents[1].reshape(2, 3, 5))


def test_latents_of_several_resolutions_are_held_apart(tmp_path: Path) -> None:
    columns = {
        "latent": pa.array([[1.0] * 4], pa.list_(pa.float32())), "latent_shape": [[1, 2, 2]],
        "latent_512": pa.array([[2.0]], pa.list_(pa.float32())), "latent_512_shape": [[1, 1, 1]],
    }  # fmt: skip
    version = lance.write_dataset(pa.table(columns), str(tmp_path / "l.lance")).version
    reader = RowReader(
        TableRef(uri=str(tmp_path / "l.lance"), version=version), ["latent", "latent_shape"], decode_latent, cache_bytes=1000
    )
    for _ in range(2):                                               # read, then from memory
        assert torch.equal(reader.fetch([0], latents="latent_512").decoded[0], torch.full((1, 1, 1), 2.0))
        assert torch.equal(reader.fetch([0]).decoded[0], torch.ones(1, 2, 2))
    assert reader.names("latent_512") == ["latent_512", "latent_512_shape"]


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    for name, value in {
        "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y", "AWS_REGION": "us-east-1", "AWS_ENDPOINT": endpoint,
        "AWS_ALLOW_HTTP": "true",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1").create_bucket(Bucket="lake")
    yield "s3://lake"
    server.stop()


def test_rows_of_a_table_in_an_object_store(bucket: str) -> None:
    table = pa.table({"image": pa.array([png(shade) for shade in range(0, 200, 10)], pa.large_binary())})
    version = lance.write_dataset(table, f"{bucket}/tables/images.lance").version
    fetched = reader(TableRef(uri=f"{bucket}/tables/images.lance", version=version)).fetch([19, 3, 7])
    assert shades(fetched) == {3: 30, 7: 70, 19: 190}
