"""Daft: read, decode, perceptual hash, table. Run by Daft's own Python: FOLDER RESULT."""

import json
import shutil
import sys
import tempfile
from pathlib import Path

import daft
from daft import col
from daft import functions as f


def main(folder: Path, result: Path) -> None:
    """Hash every file; what cannot be decoded becomes null, which is Daft's documented way to go on."""
    names = sorted(path.name for path in folder.iterdir())
    table = Path(tempfile.mkdtemp(dir=result.parent))
    files = daft.from_pydict({"name": names, "url": [str(folder / name) for name in names]})
    picture = f.decode_image(f.download(col("url"), on_error="null"), on_error="null")
    files.with_column("hash", f.image_hash(picture, method="phash")).select("name", "hash").write_parquet(str(table))
    rows = daft.read_parquet(f"{table}/*.parquet").to_pydict()
    hashes = {name: bytes(value).hex() for name, value in zip(rows["name"], rows["hash"], strict=True) if value is not None}
    result.write_text(json.dumps({"good": sorted(hashes), "hashes": hashes}))
    shutil.rmtree(table)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
