"""A training step on packed samples, beside diffusers' single-stream transformers on the same samples, padded.

Forward, backward and update by AdamW in bf16 autocast, of a DiT, and of Z-Image and FLUX (single-stream blocks alone) built at
the same number of parameters. Samples have pictures of 256 to 1,024 px a side at 32 px a token, texts of 8 to 64 tokens and up to
three references. What counts are their tokens, without padding. Every model runs in a program of its own, with equally many
threads; on a CPU the programs take turns, step by step, so that a noisy machine disturbs all alike. With a GPU the DiT has 1.2 B
parameters, blocks are compiled, and each program has the memory to itself.

Beside it stands how much of the machine's own rate of matrix products the DiT reaches, by the arithmetic of `models.cost`.
"""

import json
import random
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from infra.errors import UserError
from infra.settings import CODE_ROOT, settings_from_environment
from models.sizes import base, small
from pipelines.bench.environments import PEERS_DIR, installed_python, peer_python
from pipelines.bench.result import Measured
from pipelines.bench.step_ours import Sample, Work, num_parameters

_THREADS = 2
_SIDES, _QUICK_SIDES = (8, 12, 16, 24, 32), (8, 12, 16)
_TEXT_TOKENS = (8, 64)
_REFERENCES = 4
"""Samples have 0, 1, 2, 3 references, and so on again."""
_SEED = 0
_WARM_UPS = 2
_PEERS = ("z_image", "flux")

Said = dict[str, float]


def run(*, is_quick: bool) -> Measured:
    """Tokens a second of ours and of both peers; a quick run has peers only where diffusers is installed for it already."""
    work = _work(_QUICK_SIDES if is_quick else _SIDES, num_samples=4 if is_quick else 8)
    with TemporaryDirectory() as folder:
        place = Path(folder, "work.json")
        place.write_text(work.model_dump_json())
        commands = {"ours": [sys.executable, "-m", "pipelines.bench.step_ours", str(place)], **_peers(place, is_quick=is_quick)}
        rounds = _WARM_UPS + (2 if is_quick else 5)
        together = [commands] if work.device == "cpu" else [{name: command} for name, command in commands.items()]
        said = {name: lines for group in together for name, lines in _in_turns(group, rounds).items()}
    return _measured(work, said, is_quick=is_quick)


def _work(sides: Sequence[int], *, num_samples: int) -> Work:
    draws = random.Random(_SEED)

    def size() -> tuple[int, int]:
        return draws.choice(sides), draws.choice(sides)

    samples = [
        Sample(text=draws.randint(*_TEXT_TOKENS), target=size(), references=[size() for _ in range(number % _REFERENCES)])
        for number in range(num_samples)
    ]
    is_gpu = torch.cuda.is_available()
    config = base(latent_channels=32, text_width=2560) if is_gpu else small(latent_channels=32, text_width=384)
    parameters = num_parameters(config)
    return Work(dit=config, samples=samples, parameters=parameters, threads=_THREADS, device="cuda" if is_gpu else "cpu")


def _peers(place: Path, *, is_quick: bool) -> dict[str, list[str]]:
    cache_dir = settings_from_environment().cache_dir
    python = installed_python("diffusers", cache_dir) if is_quick else peer_python("diffusers", cache_dir)
    program = str(PEERS_DIR / "diffusers_step.py")
    return {} if python is None else {name: [str(python), program, name, str(place)] for name in _PEERS}


def _in_turns(commands: Mapping[str, Sequence[str]], rounds: int) -> dict[str, list[Said]]:
    """What every program says: first of itself, then of each of its steps."""
    with ExitStack() as stack:
        programs = {name: stack.enter_context(_started(name, command)) for name, command in commands.items()}
        said = {name: [_said(name, program)] for name, program in programs.items()}
        for _ in range(rounds):
            for name, program in programs.items():
                assert program.stdin is not None, name
                program.stdin.write("\n")
                program.stdin.flush()
                said[name].append(_said(name, program))
    return said


@contextmanager
def _started(name: str, command: Sequence[str]) -> Iterator["subprocess.Popen[str]"]:
    """A program that takes a step for every line it is sent; what it complains of goes to a file, to be named if it fails."""
    with (
        TemporaryDirectory() as folder,
        Path(folder, "log").open("w+") as log,
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, cwd=CODE_ROOT
        ) as program,
    ):  # fmt: skip
        try:
            yield program
        except _Ended:
            log.seek(0)
            last = log.read().strip().splitlines()[-1:] or ["nothing"]
            raise UserError(f"{name} ended before it had taken its steps and said: {last[0]}") from None
        finally:
            program.kill()


class _Ended(Exception):
    """A program is there no more."""


def _said(name: str, program: "subprocess.Popen[str]") -> Said:
    assert program.stdout is not None, name
    line = program.stdout.readline()
    if not line:
        raise _Ended(name)
    return json.loads(line)


def _measured(work: Work, said: Mapping[str, Sequence[Said]], *, is_quick: bool) -> Measured:
    values: dict[str, Said] = {}
    for name, (about, *steps) in said.items():
        step_s = statistics.median(step["step_s"] for step in steps[_WARM_UPS:])
        values[name] = {"tokens_per_s": work.num_tokens / step_s, "step_s": step_s, "parameters": about["parameters"]}
    ours, about = values.pop("ours"), said["ours"][0]
    ours["flops_per_s"] = about["flops"] / ours["step_s"]
    ours["matmul_fraction"] = ours["flops_per_s"] / about["matmul_flops_per_s"]
    best = max((peer["tokens_per_s"] for peer in values.values()), default=None)
    ratios = {} if best is None else {"tokens_vs_diffusers": ours["tokens_per_s"] / best}
    checks = {"peers have our number of parameters within 3 %": all(_is_close(peer, ours) for peer in values.values())}
    if not is_quick:
        checks["at least 1.5 times the tokens of the better peer"] = ratios["tokens_vs_diffusers"] >= 1.5
    rows = tuple({"model": name, **step} for name, lines in said.items() for step in lines[1 + _WARM_UPS :])
    return Measured(ours=ours, peers=values, ratios=ratios, checks=checks, rows=rows)


def _is_close(peer: Said, ours: Said) -> bool:
    return abs(peer["parameters"] / ours["parameters"] - 1) <= 0.03
