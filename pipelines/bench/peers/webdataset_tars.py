"""WebDataset, streaming tar shards through a shuffle buffer into a torch DataLoader: FOLDER RESULT PACKAGES.

WebDataset comes from an environment of its own, torch and the decoding are those of all readers.
"""

import site
import sys
from pathlib import Path

from torch import Tensor
from torch.utils.data import DataLoader

from pipelines.bench.reading import BATCH, NUM_WORKERS, SEED, SHUFFLE_BUFFER, decoded, read_all


def told(sample: dict[str, str | bytes]) -> tuple[str, Tensor]:
    """Name and decoded picture."""
    stem, _, suffix = sample["__key__"].rpartition("_")
    return f"{stem}.{suffix}", decoded(sample["jpg"])


def main(folder: Path, result: Path, packages: str) -> None:
    """Read all shards once."""
    site.addsitedir(packages)
    from webdataset import WebDataset

    shards = sorted(map(str, folder.glob("*.tar")))
    samples = WebDataset(shards, shardshuffle=len(shards), seed=SEED).shuffle(SHUFFLE_BUFFER).map(told)
    read_all(DataLoader(samples, BATCH, num_workers=NUM_WORKERS), result)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
