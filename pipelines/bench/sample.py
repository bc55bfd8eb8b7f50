"""Sample: a step of an edit with 1, 3 and 10 references, its clean keys and values remembered, against computing them again.

References have the target's size. A step with remembered conditions should take what its operations say, measured by a
text-to-image step of the same run; what it takes more is the price of looking at long memories. That remembering changes nothing
is for a test to say (`tests/models/test_dit.py`).
"""

from collections.abc import Callable

import numpy as np
import torch

from models.cost import transformer_cost
from models.dit import DiT, Memory
from models.minilm import TEXT_WIDTH
from models.sequence import CleanTokens, Condition, NoisyTokens, pack_clean, pack_noisy
from models.sizes import DiTConfig, small, tiny
from pipelines.bench.result import Measured, median_seconds

REFERENCES = (1, 3, 10)
MOST = REFERENCES[-1]
CHANNELS, WORDS, CELLS = 24, 16, 16
REPETITIONS, QUICK_REPETITIONS = 11, 3
MOST_OVER_COUNTED, LEAST_GAIN = 1.15, 3.0


def run(*, is_quick: bool) -> Measured:
    """Seconds of a step by number of references; the small network, and the tiny one when quick."""
    torch.manual_seed(0)
    size = tiny if is_quick else small
    config = size(latent_channels=CHANNELS, text_width=TEXT_WIDTH)
    dit = DiT(config)
    with torch.no_grad():
        dit.latent_out.weight.normal_(std=0.02)                      # a fresh network predicts zero, whatever it is shown
    edits = {num: _edit(num) for num in (0, *REFERENCES)}
    ways: dict[str, Callable[[], object]] = {}
    for num, (clean, noisy) in edits.items():
        memory = _remembered(dit, clean)
        ways[f"remembered {num}"] = lambda noisy=noisy, memory=memory: _step(dit, noisy, memory)
        ways[f"again {num}"] = lambda clean=clean, noisy=noisy: _step(dit, noisy, _remembered(dit, clean))
    seconds = median_seconds(ways, repetitions=QUICK_REPETITIONS if is_quick else REPETITIONS)
    return _measured(config, seconds)


def _measured(config: DiTConfig, seconds: dict[str, float]) -> Measured:
    ours: dict[str, float] = {"t2i_step_ms": 1000 * seconds["remembered 0"]}
    again: dict[str, float] = {}
    rate = _flops(config, 0) / seconds["remembered 0"]
    for num in REFERENCES:
        ours[f"step_ms_{num}_refs"] = 1000 * seconds[f"remembered {num}"]
        ours[f"gflop_{num}_refs"] = _flops(config, num) / 1e9
        ours[f"measured_over_counted_{num}_refs"] = seconds[f"remembered {num}"] * rate / _flops(config, num)
        again[f"step_ms_{num}_refs"] = 1000 * seconds[f"again {num}"]
        again[f"gflop_{num}_refs"] = _flops(config, num, is_remembered=False) / 1e9
    ratios = {f"cached_vs_full_{num}_refs": seconds[f"again {num}"] / seconds[f"remembered {num}"] for num in REFERENCES}
    return Measured(
        ours=ours, peers={"clean tokens at every step": again}, ratios=ratios,
        checks={
            f"with {MOST} references a step takes at most {MOST_OVER_COUNTED} of what its operations say":
                ours[f"measured_over_counted_{MOST}_refs"] <= MOST_OVER_COUNTED,
            f"with {MOST} references remembering is at least {LEAST_GAIN:g} times faster":
                ratios[f"cached_vs_full_{MOST}_refs"] >= LEAST_GAIN,
        },
    )  # fmt: skip


def _edit(num_references: int) -> tuple[CleanTokens, NoisyTokens]:
    references = tuple(torch.randn(CHANNELS, CELLS, CELLS) for _ in range(num_references))
    clean = pack_clean([Condition(torch.randn(WORDS, TEXT_WIDTH), references)], latent_channels=CHANNELS)
    return clean, pack_noisy([torch.randn(CHANNELS, CELLS, CELLS)])


def _flops(config: DiTConfig, num_references: int, *, is_remembered: bool = True) -> float:
    cost, clean, noisy = transformer_cost(config), np.array([WORDS + num_references * CELLS**2]), np.array([CELLS**2])
    whole = float(cost.of(clean, noisy)[0])
    return whole - float(cost.of(clean, np.array([0]))[0]) if is_remembered else whole


@torch.inference_mode()
def _remembered(dit: DiT, clean: CleanTokens) -> Memory:
    return dit.remember(clean)


@torch.inference_mode()
def _step(dit: DiT, noisy: NoisyTokens, memory: Memory) -> torch.Tensor:
    return dit.velocity(noisy, torch.full((len(noisy.lengths),), 0.5), memory)
