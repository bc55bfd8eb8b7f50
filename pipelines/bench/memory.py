"""Memory: sampling with the clean keys and values computed once, against running the clean tokens at every step.

The request is an edit with references: clean tokens outnumber noisy ones, and only causal conditioning lets them be reused.
"""

from itertools import pairwise

import torch

from models.dit import DiT
from models.flow import schedule
from models.samplers import euler_step
from models.sequence import CleanTokens, Condition, NoisyTokens, pack_clean, pack_noisy
from models.sizes import tiny
from models.text import TEXT_WIDTH
from pipelines.bench.result import Measured, median_seconds

_CHANNELS = 24
_NUM_STEPS = 16


def run(*, is_quick: bool) -> Measured:
    """Seconds of sixteen steps for a batch of requests with ten references each."""
    torch.manual_seed(0)
    dit = DiT(tiny(latent_channels=_CHANNELS, text_width=TEXT_WIDTH))
    with torch.no_grad():
        dit.latent_out.weight.normal_(std=0.02)  # a fresh network predicts zero, whatever it is shown
    num_requests = 2 if is_quick else 8
    conditions = [
        Condition(torch.randn(16, TEXT_WIDTH), tuple(torch.randn(_CHANNELS, 4, 4) for _ in range(10)))
        for _ in range(num_requests)
    ]
    clean, noisy = pack_clean(conditions, latent_channels=_CHANNELS), pack_noisy([torch.randn(_CHANNELS, 4, 4)] * num_requests)
    seconds = median_seconds(
        {
            "remembered": lambda: _sample(dit, clean, noisy, is_remembered=True),
            "again": lambda: _sample(dit, clean, noisy, is_remembered=False),
        },
        repetitions=3 if is_quick else 10,
    )
    same = torch.equal(_sample(dit, clean, noisy, is_remembered=True), _sample(dit, clean, noisy, is_remembered=False))
    return Measured(
        ours={"seconds": seconds["remembered"]}, peers={"clean tokens at every step": {"seconds": seconds["again"]}},
        ratios={"seconds": seconds["again"] / seconds["remembered"]}, checks={"both give the same picture, bit for bit": same},
    )  # fmt: skip


@torch.no_grad()
def _sample(dit: DiT, clean: CleanTokens, noisy: NoisyTokens, *, is_remembered: bool) -> torch.Tensor:
    times, latents = schedule(_NUM_STEPS, shift=1.0).tolist(), noisy.latents
    memory = dit.remember(clean)
    for number, (time, following) in enumerate(pairwise(times)):
        if number and not is_remembered:
            memory = dit.remember(clean)
        velocity = dit.velocity(noisy._replace(latents=latents), torch.full((len(noisy.lengths),), time), memory)
        latents = euler_step(latents, velocity, time=time, next_time=following)
    return latents
