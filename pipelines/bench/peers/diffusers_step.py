"""diffusers: one training step of a single-stream transformer after another. Run by its own Python: z_image|flux WORK.

WORK is a JSON file: a batch as sizes, the number of parameters to come close to, threads, device. Every line read from the
standard input asks for one step; its seconds are the answer. The first line written tells the model's parameters.

Unequal samples are padded to the longest, as both models ask for: Z-Image fills every caption and image up to multiples of 32
and masks the rest of the rectangle; FLUX is given a rectangle of texts and one of images, without a mask, which costs it less.
References follow the target in the image sequence, as in FLUX.1 Kontext. Images are given as lines of latent cells, since both
models take any shape at one price.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from diffusers import FluxTransformer2DModel, ZImageTransformer2DModel
from torch import Tensor, nn

Forward = Callable[[], Tensor]
LONGEST = 8192
"""Cells that Z-Image knows positions of in a line."""


def main(name: str, work: dict) -> None:
    """Build the model of the wanted size, then take one step for every line read."""
    torch.set_num_threads(work["threads"])
    torch.manual_seed(0)
    device = torch.device(work["device"])
    build, prepare = {"z_image": (z_image, z_image_forward), "flux": (flux, flux_forward)}[name]
    with torch.device(device):
        model = closest(build, work)
        forward = prepare(model, work)
    if device.type == "cuda":
        model.compile_repeated_blocks()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    print(json.dumps({"parameters": count(model)}), flush=True)
    for _ in sys.stdin:
        print(json.dumps({"step_s": step(forward, optimizer, device)}), flush=True)


def step(forward: Forward, optimizer: torch.optim.Optimizer, device: torch.device) -> float:
    """Seconds of forward, backward and update."""
    wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    wait()
    began = time.perf_counter()
    with torch.autocast(device.type, torch.bfloat16):
        loss = forward()
    loss.backward()
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    wait()
    return time.perf_counter() - began


def closest(build: Callable[[dict, int, int], nn.Module], work: dict) -> nn.Module:
    """The model whose size is closest to what is wanted, among widths near ours and all depths; the wider of equals."""
    wanted, dit, head = work["parameters"], work["dit"], sum(work["dit"]["rope_axes"])
    sizes = {}
    with torch.device("meta"):
        for width in (dit["width"] - head, dit["width"], dit["width"] + head):
            one, two = count(build(dit, width, 1)), count(build(dit, width, 2))
            depth = max(1, round((wanted - one) / (two - one)) + 1)
            sizes[width, depth] = abs(one + (depth - 1) * (two - one) - wanted)
    return build(dit, *min(sizes, key=lambda size: (sizes[size], -size[0])))


def count(model: nn.Module) -> int:
    """Parameters of a model."""
    return sum(parameter.numel() for parameter in model.parameters())


def z_image(dit: dict, width: int, depth: int) -> ZImageTransformer2DModel:
    """Z-Image with one refiner block per stream, where the 6 B model has two before its thirty."""
    num_heads = width // sum(dit["rope_axes"])
    return ZImageTransformer2DModel(
        all_patch_size=(1,), in_channels=dit["latent_channels"], dim=width, n_layers=depth, n_refiner_layers=1,
        n_heads=num_heads, n_kv_heads=num_heads, cap_feat_dim=dit["text_width"], axes_dims=dit["rope_axes"],
        axes_lens=[1024, 8, LONGEST],
    )  # fmt: skip


def z_image_forward(model: ZImageTransformer2DModel, work: dict) -> Forward:
    """Loss of the target's cells."""
    lines = [torch.randn(work["dit"]["latent_channels"], 1, 1, length) for length in images(work)]
    texts = [torch.randn(sample["text"], work["dit"]["text_width"]) for sample in work["samples"]]
    noise, times = [torch.randn_like(line) for line in lines], torch.rand(len(lines))
    lengths = [area(sample["target"]) for sample in work["samples"]]

    def forward() -> Tensor:
        seen = model(lines, times, texts, patch_size=1, return_dict=False)[0]
        pairs = zip(seen, noise, lengths, strict=True)
        return torch.cat([(one - other)[..., :length].flatten().square() for one, other, length in pairs]).mean()

    return forward


def flux(dit: dict, width: int, depth: int) -> FluxTransformer2DModel:
    """FLUX of single-stream blocks alone."""
    head = sum(dit["rope_axes"])
    return FluxTransformer2DModel(
        in_channels=dit["latent_channels"], num_layers=0, num_single_layers=depth, attention_head_dim=head,
        num_attention_heads=width // head, joint_attention_dim=dit["text_width"], pooled_projection_dim=dit["text_width"],
        axes_dims_rope=tuple(dit["rope_axes"]),
    )  # fmt: skip


def flux_forward(model: FluxTransformer2DModel, work: dict) -> Forward:
    """Loss of the target's cells."""
    samples, channels, text_width = work["samples"], work["dit"]["latent_channels"], work["dit"]["text_width"]
    num, longest, text = len(samples), max(images(work)), max(sample["text"] for sample in samples)
    latents, noise = torch.randn(num, longest, channels), torch.randn(num, longest, channels)
    states, pooled, times = torch.randn(num, text, text_width), torch.randn(num, text_width), torch.rand(num)
    is_target = torch.arange(longest)[None] < torch.tensor([area(sample["target"]) for sample in samples])[:, None]
    places, text_places = torch.zeros(longest, 3), torch.zeros(text, 3)
    places[:, 2] = torch.arange(longest)

    def forward() -> Tensor:
        seen = model(latents, states, pooled, times, places, text_places, return_dict=False)[0]
        return (seen - noise)[is_target].square().mean()

    return forward


def images(work: dict) -> list[int]:
    """Latent cells of every sample's target and references."""
    return [area(sample["target"]) + sum(map(area, sample["references"])) for sample in work["samples"]]


def area(sides: list[int]) -> int:
    """Cells of a latent."""
    return sides[0] * sides[1]


if __name__ == "__main__":
    main(sys.argv[1], json.loads(Path(sys.argv[2]).read_text()))
