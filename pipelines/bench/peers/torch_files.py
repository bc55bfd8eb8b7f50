"""A torch DataLoader over files with a random sampler: FOLDER RESULT."""

import sys
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from pipelines.bench.reading import BATCH, NUM_WORKERS, SEED, decoded, read_all


class Files(Dataset):
    """Every file by number."""

    def __init__(self, places: list[str]) -> None:
        self._places = places

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, number: int) -> tuple[str, Tensor]:
        place = Path(self._places[number])
        return place.name, decoded(place.read_bytes())


if __name__ == "__main__":
    files = Files(Path(sys.argv[1], "files.txt").read_text().splitlines())
    generator = torch.Generator().manual_seed(SEED)
    read_all(DataLoader(files, BATCH, shuffle=True, num_workers=NUM_WORKERS, generator=generator), Path(sys.argv[2]))
