"""One worker of a run without Ray: `python run_fit.py RANK SIZE RENDEZVOUS FOLDER...` trains what folders' config.json say."""

import os
import sys
from pathlib import Path

import torch.distributed as dist

from models.bundle import Lineage
from train import stopping
from train.config import FitConfig
from train.fitting import FitFolder, fit
from train.parallel.world import World


def main(rank: int, size: int, rendezvous: str, folders: list[Path]) -> None:
    os.environ.setdefault("LOCAL_RANK", str(rank))                   # DeepSpeed asks for it; Ray Train sets it
    stopping.listen()
    if size > 1:
        dist.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=size)
    for folder in folders:
        config = FitConfig.model_validate_json((folder / "config.json").read_text())
        lineage = Lineage.model_validate_json((folder / "lineage.json").read_text())
        fit(config, lineage, FitFolder(folder), bundle=folder / "bundle", world=World(rank, size))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], [Path(argument) for argument in sys.argv[4:]])
