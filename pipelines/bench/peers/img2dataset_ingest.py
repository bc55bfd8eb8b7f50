"""img2dataset: fetch, decode, shrink to 256 px, encode, shard. Run by its own Python: URLS RESULT."""

import json
import sys
import tempfile
from pathlib import Path

import pyarrow.parquet as pq
from img2dataset import download


def main(urls: Path, result: Path) -> None:
    """Fetch the URLs, one a line, with two processes of 16 threads."""
    shards = Path(tempfile.mkdtemp(dir=result.parent))
    download(
        url_list=str(urls), input_format="txt", output_folder=str(shards), output_format="webdataset", image_size=256,
        resize_mode="keep_ratio", resize_only_if_bigger=True, processes_count=2, thread_count=16, number_sample_per_shard=500,
    )  # fmt: skip
    parts = [pq.read_table(part, columns=["url", "status"]).to_pylist() for part in sorted(shards.glob("*.parquet"))]
    rows = [row for part in parts for row in part]
    good = sorted(row["url"].rpartition("/")[2] for row in rows if row["status"] == "success")
    result.write_text(json.dumps({"good": good}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
