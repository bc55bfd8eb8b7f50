"""Makes ``quality.safetensors`` and its evidence, ``quality.json``: `python -m curation.knowledge.quality_training`.

Accuracy is measured on pictures of other indices, and, harder, on whole generators that training never saw: one pair of networks
is fitted without each generator in turn. What is kept is fitted on all. Three minutes on one core, nearly all of it drawing.

n pictures of other indices, and, harder, on whole generators that training never saw: one classifier is
fitted without each generator in turn. What is kept is fitted on all generators. Two minutes on one core, nearly all of it drawing.

n pictures · f measures
"""

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from safetensors.numpy import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from curation.knowledge.degradations import FLAWS, degraded
from curation.knowledge.draws import draws
from curation.knowledge.kinds import KINDS, KnowledgeKind, draw
from curation.knowledge.quality import DIFFICULTIES, WEIGHTS, difficulty_of, measured, network, strain_of

TRAIN_SEED, TEST_SEED = 101, 202
TRAIN_IMAGES, TEST_IMAGES = 120, 40
"""Good pictures a generator; each also gives one with a flaw."""
NUM_HIDDEN, NUM_STEPS = 24, 500


class Examples(NamedTuple):
    """Measures of good pictures and of flawed ones, and the strain of the good."""

    good: Float[np.ndarray, "n f"]
    bad: Float[np.ndarray, "n f"]
    strain: Float[np.ndarray, "n"]


def main(folder: Path) -> dict[str, float]:
    """Trains, measures and writes; gives the evidence."""
    train = {kind: examples(kind, TRAIN_SEED, TRAIN_IMAGES) for kind in KINDS}
    test = {kind: examples(kind, TEST_SEED, TEST_IMAGES) for kind in KINDS}
    tensors = fitted([train[kind] for kind in KINDS])
    evidence = scores("new_pictures", tensors, [test[kind] for kind in KINDS])
    unseen = [
        scores(f"unseen_{kind}", fitted([train[other] for other in KINDS if other != kind]), [test[kind]]) for kind in KINDS
    ]
    for place, name in enumerate(scores("unseen_generators", tensors, [test["maps"]])):
        evidence[name] = round(float(np.mean([list(score.values())[place] for score in unseen])), 4)
    for score in unseen:
        evidence |= score
    save_file(tensors, folder / WEIGHTS.name)
    (folder / "quality.json").write_text(json.dumps(evidence, indent=2) + "\n", encoding="utf-8")
    return evidence


def examples(kind: KnowledgeKind, seed: int, num_images: int) -> Examples:
    """Good pictures of a generator and the same with one flaw each, by turns."""
    samples = [draw(kind, seed, index) for index in range(num_images)]
    flawed = [
        degraded(sample.pixels, FLAWS[index % len(FLAWS)], draws("flaw", seed, index)) for index, sample in enumerate(samples)
    ]
    return Examples(
        np.stack([measured(sample.pixels) for sample in samples]),
        np.stack([measured(pixels) for pixels in flawed]),
        np.array([strain_of(sample.load) for sample in samples], dtype=np.float32).clip(-2, 3),
    )


def fitted(groups: Sequence[Examples]) -> dict[str, np.ndarray]:
    """Weights of both networks by full-batch AdamW; the same for the same examples."""
    good = np.concatenate([group.good for group in groups])
    both = np.concatenate([good, *(group.bad for group in groups)])
    is_bad = (np.arange(len(both)) >= len(good)).astype(np.float32)
    tensors = {"mean": both.mean(axis=0), "scale": both.std(axis=0) + 1e-3}
    scaled = {
        name: ((inputs - tensors["mean"]) / tensors["scale"]).clip(-4, 4) for name, inputs in (("both", both), ("good", good))
    }
    tensors |= _head("quality", scaled["both"], is_bad, F.binary_cross_entropy_with_logits)
    return tensors | _head("strain", scaled["good"], np.concatenate([group.strain for group in groups]), F.smooth_l1_loss)


def scores(name: str, tensors: dict[str, np.ndarray], groups: Sequence[Examples]) -> dict[str, float]:
    """Accuracy of quality, exact levels of difficulty, and levels that are off by two."""
    good, bad = np.concatenate([group.good for group in groups]), np.concatenate([group.bad for group in groups])
    strain = np.concatenate([group.strain for group in groups])
    is_right = np.concatenate([network(good, tensors, "quality") < 0, network(bad, tensors, "quality") >= 0])
    off = np.abs(_levels(network(good, tensors, "strain")) - _levels(strain))
    return {
        f"quality_accuracy_{name}": round(float(is_right.mean()), 4), f"difficulty_accuracy_{name}": round(float((off == 0).mean()), 4),
        f"difficulty_off_by_two_{name}": round(float((off == 2).mean()), 4),
    }  # fmt: skip


def _levels(strain: Float[np.ndarray, "n"]) -> Int[np.ndarray, "n"]:
    return np.array([DIFFICULTIES.index(difficulty_of(float(value))) for value in strain])


def _head(
    name: str, inputs: Float[np.ndarray, "n f"], targets: Float[np.ndarray, "n"], loss: Callable[[Tensor, Tensor], Tensor]
) -> dict[str, np.ndarray]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers = nn.Sequential(nn.Linear(inputs.shape[1], NUM_HIDDEN), nn.ReLU(), nn.Linear(NUM_HIDDEN, 1))
    x, y = torch.from_numpy(inputs).float(), torch.from_numpy(targets).float()
    optimizer = torch.optim.AdamW(layers.parameters(), lr=0.01, weight_decay=0.1)
    for _ in range(NUM_STEPS):
        optimizer.zero_grad()
        loss(layers(x)[:, 0], y).backward()
        optimizer.step()
    names = {"0": "hidden", "2": "out"}
    return {f"{name}.{names[key[0]]}.{key[2:]}": value.numpy().astype(np.float32) for key, value in layers.state_dict().items()}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(WEIGHTS.parent), indent=2) + "\n")
