"""A pack shared by workers gives the loss and the gradients of one worker."""

import datetime
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from unittest.mock import Mock

import pytest
import torch
import torch.distributed as dist

from infra.settings import CODE_ROOT
from models.context import Context, require_heads
from models.dit import DiT
from models.routing import Route
from models.sequence import CleanTokens, Condition, NoisyTokens, pack_clean, pack_noisy
from models.sizes import DiTConfig

CONFIG = DiTConfig(
    width=32, depth=3, num_heads=4, num_kv_heads=2, ffn_width=48, latent_channels=3, text_width=10, rope_axes=(4, 6, 6)
)
"""Two workers have a key-value head each; four share them in pairs."""

ROUTE = Route(1, 2, torch.tensor([0, 2, 3, 5, 8, 11, 12]), torch.tensor([5, 2]))
"""Tokens of both samples go past the block in the middle; the third of four workers keeps one of its own, the last two."""

NUM_WORKERS = 4
SIZES = (2, 4)

Outcome = dict[str, torch.Tensor]


def pack() -> tuple[CleanTokens, NoisyTokens, torch.Tensor]:
    """Three clean and thirteen noisy tokens: no number of workers divides them, and one of four has no clean one."""
    generator = torch.Generator().manual_seed(1)
    conditions = [
        Condition(torch.randn(1, 10, generator=generator), (torch.randn(3, 1, 1, generator=generator),)),
        Condition(torch.randn(1, 10, generator=generator), ()),
    ]
    targets = [torch.randn(3, 3, 3, generator=generator), torch.randn(3, 2, 2, generator=generator)]
    return pack_clean(conditions, latent_channels=3), pack_noisy(targets), torch.rand(2, generator=generator)


def outcome(context: Context | None) -> Outcome:
    """This worker's part of the loss and of the gradients."""
    torch.manual_seed(0)
    dit = DiT(CONFIG)
    with torch.no_grad():
        for parameter in dit.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    clean, noisy, time = pack()
    memory, own = dit.remember(clean, context), slice(None) if context is None else context.rows(len(noisy.latents))
    losses = [
        (dit.velocity(noisy, time, memory, context, route=route) - noisy.latents[own]).square().sum() / noisy.latents.numel()
        for route in (None, ROUTE)
    ]
    loss = torch.stack(losses).sum()
    loss.backward()
    gradients = {name: parameter.grad for name, parameter in dit.named_parameters() if parameter.grad is not None}
    return {"loss": loss.detach(), **gradients}


def work(rank: int, folder: Path) -> None:
    """One of four workers, the first two of which share a pack, too; the first one writes the sums over those that share."""
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/store", rank=rank, world_size=NUM_WORKERS, timeout=datetime.timedelta(minutes=1)
    )
    for size in SIZES:
        group = dist.new_group(list(range(size)))
        if isinstance(group, dist.ProcessGroup):                                     # this worker is one of them
            parts = outcome(Context(group))
            for part in parts.values():
                dist.all_reduce(part, group=group)
            if rank == 0:
                torch.save(parts, folder / f"{size}.pt")
    dist.barrier()
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def sums(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Outcome]:
    """By number of workers; this file is the program, which forks after its imports, so that they are paid for once."""
    folder = tmp_path_factory.mktemp("workers")
    subprocess.run([sys.executable, __file__, str(folder)], check=True, env={**os.environ, "PYTHONPATH": str(CODE_ROOT)})
    return {size: torch.load(folder / f"{size}.pt") for size in SIZES}


@pytest.mark.parametrize("size", SIZES)
def test_workers_that_share_a_pack_add_up_to_one(size: int, sums: dict[int, Outcome]) -> None:
    expected = outcome(None)
    assert sums[size].keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(sums[size][name], value, atol=1e-5, rtol=1e-5, msg=lambda text, name=name: f"{name}: {text}")


def rank_of(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, int], Context]:
    """A context of any size, as if its workers were there."""

    def made(rank: int, size: int) -> Context:
        monkeypatch.setattr(dist, "get_rank", Mock(return_value=rank))
        monkeypatch.setattr(dist, "get_world_size", Mock(return_value=size))
        return Context()

    return made


@pytest.mark.parametrize("num_tokens", [0, 3, 8, 13])
def test_runs_cover_all_tokens_once_and_differ_by_one_at_most(num_tokens: int, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = [range(num_tokens)[rank_of(monkeypatch)(rank, 4).rows(num_tokens)] for rank in range(4)]
    assert [token for run in runs for token in run] == list(range(num_tokens))
    assert max(map(len, runs)) - min(map(len, runs)) <= 1


def test_heads_that_cannot_be_shared_out_are_refused_with_their_numbers() -> None:
    require_heads(4, num_heads=8, num_kv_heads=2)
    with pytest.raises(ValueError, match="num_heads=6 and num_kv_heads=2 cannot be shared by 4 workers"):
        require_heads(4, num_heads=6, num_kv_heads=2)
    with pytest.raises(ValueError, match="num_kv_heads=4 cannot be shared by 6 workers"):
        require_heads(6, num_heads=12, num_kv_heads=4)


if __name__ == "__main__":
    fork = multiprocessing.get_context("fork")
    workers = [fork.Process(target=work, args=(rank, Path(sys.argv[1]))) for rank in range(NUM_WORKERS)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    sys.exit(max(abs(worker.exitcode or 0) for worker in workers))
