"""Packing: what padding every sample to the longest would cost a training step.

The mixture is half text-to-image, a third edits, the rest compositions, with texts of 5 to 20 tokens. The peer gives
every sample as much text and as many references as the longest has, as a batch in a rectangle would.
"""

import torch

from models.dit import DiT, tiny
from models.sequence import Condition, NoisyTokens, pack_clean, pack_noisy
from models.text import TEXT_WIDTH
from pipelines.bench.result import Measured, median_seconds

_CHANNELS = 24
_REFERENCES = (0, 0, 0, 1, 1, 2)
"""References of the samples, in turn."""


def run(*, is_quick: bool) -> Measured:
    """Seconds of forward and backward on the same targets, packed and padded."""
    torch.manual_seed(0)
    dit = DiT(tiny(latent_channels=_CHANNELS, text_width=TEXT_WIDTH))
    with torch.no_grad():
        dit.latent_out.weight.normal_(std=0.02)  # a fresh network predicts zero, whatever it is shown
    num_samples = 24 if is_quick else 96
    samples = [_sample(5 + 7 * i % 16, _REFERENCES[i % len(_REFERENCES)]) for i in range(num_samples)]
    longest = max(len(sample.text) for sample in samples)
    padded = [_sample(longest, max(_REFERENCES)) for _ in samples]
    noisy = pack_noisy([torch.randn(_CHANNELS, 4, 4) for _ in samples])
    time = torch.rand(num_samples)
    seconds = median_seconds(
        {"packed": lambda: _step(dit, samples, noisy, time), "padded": lambda: _step(dit, padded, noisy, time)},
        repetitions=5 if is_quick else 20,
    )
    tokens = {
        name: len(pack_clean(each, latent_channels=_CHANNELS).order) for name, each in (("packed", samples), ("padded", padded))
    }
    return Measured(
        ours={"step_s": seconds["packed"], "clean_tokens": tokens["packed"]},
        peers={"padded": {"step_s": seconds["padded"], "clean_tokens": tokens["padded"]}},
        ratios={"step_s": seconds["padded"] / seconds["packed"], "clean_tokens": tokens["padded"] / tokens["packed"]},
        checks={"packing changes no sample's result": _agrees(dit, samples, noisy, time)},
    )


def _sample(num_text: int, num_references: int) -> Condition:
    return Condition(torch.randn(num_text, TEXT_WIDTH), tuple(torch.randn(_CHANNELS, 4, 4) for _ in range(num_references)))


def _step(dit: DiT, samples: list[Condition], noisy: NoisyTokens, time: torch.Tensor) -> None:
    dit.zero_grad()
    dit(pack_clean(samples, latent_channels=_CHANNELS), noisy, time).square().mean().backward()


@torch.no_grad()
def _agrees(dit: DiT, samples: list[Condition], noisy: NoisyTokens, time: torch.Tensor) -> bool:
    together = dit(pack_clean(samples, latent_channels=_CHANNELS), noisy, time)[:16]
    first = noisy._replace(latents=noisy.latents[:16], positions=noisy.positions[:16], lengths=noisy.lengths[:1])
    alone = dit(pack_clean(samples[:1], latent_channels=_CHANNELS), first, time[:1])
    return torch.allclose(together, alone, atol=1e-5)
