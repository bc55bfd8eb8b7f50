"""Hugging Face datasets, streaming Parquet shards through a shuffle buffer into a torch DataLoader: FOLDER RESULT."""

import sys
from pathlib import Path

from datasets import load_dataset
from torch import Tensor
from torch.utils.data import DataLoader

from pipelines.bench.reading import BATCH, NUM_WORKERS, SEED, SHUFFLE_BUFFER, decoded, read_all


def told(row: dict[str, str | bytes]) -> dict[str, str | Tensor]:
    """The row with its picture decoded."""
    return {"id": row["id"], "image": decoded(row["image"])}


def main(folder: Path, result: Path) -> None:
    """Read all shards once."""
    shards = sorted(map(str, folder.glob("*.parquet")))
    rows = load_dataset("parquet", data_files=shards, split="train", streaming=True, cache_dir=str(result.parent / "hf"))
    shuffled = rows.shuffle(seed=SEED, buffer_size=SHUFFLE_BUFFER).map(told)
    loader = DataLoader(shuffled, BATCH, num_workers=NUM_WORKERS)
    read_all(((batch["id"], batch["image"]) for batch in loader), result)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
