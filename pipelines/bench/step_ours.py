"""Our side of the step benchmark: a program of its own, ``python -m pipelines.bench.step_ours WORK``.

It first writes a line about itself; then every line read from the standard input asks for one step, whose seconds it writes.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Float
from pydantic import BaseModel
from torch import Tensor

from models.cost import TRAINING_PASSES, transformer_cost
from models.dit import DiT
from models.sequence import CleanTokens, Condition, NoisyTokens, pack_clean, pack_noisy
from models.sizes import DiTConfig
from train.machine import matmul_rate
from train.parallel.memory import MemoryConfig, apply

_MATMUL_SIDES = {"cpu": (1024, 2048, 3072), "cuda": (4096, 8192, 16384)}

Size = tuple[int, int]


class Sample(BaseModel, frozen=True, extra="forbid"):
    """Text tokens, and latent cells of pictures as (rows, columns)."""

    text: int
    target: Size
    references: list[Size]

    @property
    def num_tokens(self) -> int:
        """Tokens of one sample."""
        return self.text + sum(rows * columns for rows, columns in (self.target, *self.references))


class Work(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """What every program is given."""

    dit: DiTConfig
    """Our model."""
    parameters: int
    """How many it has: what peers come close to."""
    samples: list[Sample]
    threads: int
    device: str

    @property
    def num_tokens(self) -> int:
        """Tokens of all samples."""
        return sum(sample.num_tokens for sample in self.samples)


class Batch(NamedTuple):
    """Random samples of the wanted sizes."""

    clean: CleanTokens
    noisy: NoisyTokens
    target: Float[Tensor, "m c"]
    time: Float[Tensor, " s"]

    @classmethod
    def of(cls, work: Work, device: torch.device) -> "Batch":
        """The samples on a device."""
        channels, width = work.dit.latent_channels, work.dit.text_width
        conditions = [
            Condition(torch.randn(sample.text, width), tuple(torch.randn(channels, *size) for size in sample.references))
            for sample in work.samples
        ]
        noisy = pack_noisy([torch.randn(channels, *sample.target) for sample in work.samples])
        clean = pack_clean(conditions, latent_channels=channels)
        target, time = torch.randn_like(noisy.latents), torch.rand(len(work.samples))
        return cls(clean.to(device), noisy.to(device), target.to(device), time.to(device))


def num_parameters(config: DiTConfig) -> int:
    """Parameters of a transformer, without making it."""
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in DiT(config).parameters())


def main(work: Work) -> None:
    """Build the model, then take one step for every line read."""
    torch.set_num_threads(work.threads)
    torch.manual_seed(0)
    device, config = torch.device(work.device), work.dit
    with device:
        dit = DiT(config)
    apply(MemoryConfig(compile=device.type == "cuda"), list(dit.blocks))
    optimizer = torch.optim.AdamW(dit.parameters(), lr=1e-4)
    batch = Batch.of(work, device)
    lengths = batch.clean.lengths.cpu().numpy(), batch.noisy.lengths.cpu().numpy()
    flops = TRAINING_PASSES * transformer_cost(config).of(*lengths).sum()
    rate = max(matmul_rate(torch.bfloat16, device, side=side) for side in _MATMUL_SIDES[device.type])
    print(json.dumps({"parameters": work.parameters, "flops": flops, "matmul_flops_per_s": rate}), flush=True)

    def step() -> None:
        with torch.autocast(device.type, torch.bfloat16):
            velocity = dit(batch.clean, batch.noisy, batch.time)
        (velocity - batch.target).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    for _ in sys.stdin:
        print(json.dumps({"step_s": seconds(step, device)}), flush=True)


def seconds(run: Callable[[], object], device: torch.device) -> float:
    """Wall time until the device is done."""
    wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    wait()
    began = time.perf_counter()
    run()
    wait()
    return time.perf_counter() - began


if __name__ == "__main__":
    main(Work.model_validate_json(Path(sys.argv[1]).read_text()))
