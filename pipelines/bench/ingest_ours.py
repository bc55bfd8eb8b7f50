"""Our side of the ingest leg: fetch, check, shrink, encode, store.

A program of its own, so that it is measured like the peer: ``python -m pipelines.bench.ingest_ours URLS RESULT``.
"""

import hashlib
import json
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
import pyarrow as pa
import simplejpeg

from curation.decode import Undecodable, decode_scaled
from curation.fetch import FetchConfig, Fetched, Fetcher
from pipelines.bench.workers import spread, stored

BATCH_URLS = 64
SIDE_PX, QUALITY = 256, 95
"""What a picture is shrunk to and encoded at: what img2dataset does by default."""

_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False), pa.field("image", pa.large_binary()), pa.field("sha256", pa.string()),
        pa.field("width_px", pa.int32()), pa.field("height_px", pa.int32()), pa.field("refusal", pa.string()),
    ]
)  # fmt: skip


def ingest(listed: Path, result: Path) -> None:
    """Ingest the URLs, one a line and all of one local port; writes which files are good."""
    urls = listed.read_text().split()
    port = int(urls[0].split(":")[2].partition("/")[0])
    manners = FetchConfig(ports=(port,), allowed_networks=("127.0.0.0/8",), host_concurrency=16, host_interval_s=0)
    with TemporaryDirectory(dir=result.parent) as scratch:
        rows = stored(spread(partial(fetched_rows, manners), urls, size=BATCH_URLS), _SCHEMA, f"{scratch}/pictures.lance")
    good = rows.filter(rows["refusal"].is_null())["id"].to_pylist()
    result.write_text(json.dumps({"good": sorted(url.rpartition("/")[2] for url in good)}))


def fetched_rows(manners: FetchConfig, urls: Sequence[str]) -> pa.Table:
    """Rows of the pictures at the URLs of a batch."""
    answers = zip(urls, Fetcher(manners).fetch_all(urls), strict=True)
    rows = [
        _ingested(url, one.content) if isinstance(one, Fetched) else {"id": url, "refusal": one.reason} for url, one in answers
    ]
    return pa.Table.from_pylist(rows, schema=_SCHEMA)


def _ingested(url: str, content: bytes) -> dict[str, object]:
    try:
        scaled = decode_scaled(content, SIDE_PX)
    except Undecodable as error:
        return {"id": url, "refusal": error.cause}
    pixels = scaled.pixels
    shrink = SIDE_PX / min(pixels.shape[:2])
    if shrink < 1:
        pixels = cv2.resize(pixels, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
    encoded = simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), quality=QUALITY, colorspace="RGB", colorsubsampling="420")
    height, width = pixels.shape[:2]
    sha256 = hashlib.sha256(content).hexdigest()
    return {"id": url, "image": encoded, "sha256": sha256, "width_px": width, "height_px": height}


if __name__ == "__main__":
    ingest(Path(sys.argv[1]), Path(sys.argv[2]))
