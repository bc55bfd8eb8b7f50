"""How far two pictures are apart for a network: distance of unit-length features at several depths.

Zhang et al. 2018 (arXiv:1801.03924, eq. 1) with all weights 1: their learnt ones belong to networks that no package ships. The
network sees pictures at their own size and is frozen. EfficientNet-lite0, whose weights a package ships, is also the one whose
pooled last features evaluation measures Fréchet distances by, so such a distance favours whatever was trained with this loss,
and says less about it. Any other network of timm may be named, with its weights in a file: nothing is ever downloaded.

b pictures · c channels · y, x rows and columns
"""

from collections.abc import Sized
from pathlib import Path
from typing import Annotated, Literal, Protocol, cast

import torch
from annotated_types import Ge, MinLen
from jaxtyping import Float
from pydantic import BaseModel, Field
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from models.perception.efficientnet import LiteFeatures

DEPTHS = (0, 2, 4, 10)
"""Blocks of EfficientNet-lite0 after which features are compared: at 1/2, 1/4, 1/8 and 1/16 of the pictures' side."""


class LiteConfig(BaseModel, frozen=True, extra="forbid"):
    """EfficientNet-lite0, from its package."""

    kind: Literal["lite0"] = "lite0"


class TimmConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """A network of timm."""

    kind: Literal["timm"] = "timm"
    name: str
    """Its name in timm, such as ``vgg16``."""
    weights: str
    """File of its weights, in safetensors and with timm's names; what trained it decides whether the loss may be used."""
    layers: Annotated[tuple[Annotated[int, Ge(0)], ...], MinLen(1)]
    """Numbers of the feature maps that are compared, from the finest on, as timm's ``feature_info`` lists them."""


BackboneConfig = Annotated[LiteConfig | TimmConfig, Field(discriminator="kind")]


class UnusableBackbone(ValueError):
    """The network that pictures are to be compared by cannot be had."""


class Backbone(Protocol):
    """A network's features."""

    def __call__(self, images: Float[Tensor, "b 3 y x"]) -> list[Float[Tensor, "b _ _ _"]]:
        """Feature maps of pictures in [-1, 1], differentiable in them."""
        ...


class PerceptualDistance(nn.Module):
    """The distance, differentiable in both pictures; its network is frozen."""

    def __init__(self, config: BackboneConfig) -> None:
        super().__init__()
        self.backbone: Backbone = build_backbone(config)
        self.requires_grad_(False).eval()

    def forward(self, images: Float[Tensor, "b 3 y x"], others: Float[Tensor, "b 3 y x"]) -> Float[Tensor, ""]:
        pairs = zip(self.backbone(images), self.backbone(others), strict=True)
        distances = [(_unit(ours) - _unit(theirs)).square().sum(1).mean() for ours, theirs in pairs]
        return torch.stack(distances).mean()


class _Lite(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = LiteFeatures.load()

    def forward(self, images: Float[Tensor, "b 3 y x"]) -> list[Float[Tensor, "b _ _ _"]]:
        return self.features.features_at(images, DEPTHS)


class _Tapped(Protocol):
    """What every network of timm with taps has."""

    def forward_intermediates(
        self, x: Float[Tensor, "b 3 y x"], *, indices: list[int], intermediates_only: bool
    ) -> list[Float[Tensor, "b _ _ _"]]: ...


class _Timm(nn.Module):
    mean: Float[Tensor, "3 1 1"]
    std: Float[Tensor, "3 1 1"]

    def __init__(self, config: TimmConfig) -> None:
        super().__init__()
        self.network, self.layers = _loaded(config), list(config.layers)
        for name, values in _input_statistics(self.network).items():
            self.register_buffer(name, torch.tensor(values).view(3, 1, 1))

    def forward(self, images: Float[Tensor, "b 3 y x"]) -> list[Float[Tensor, "b _ _ _"]]:
        seen = ((images.float() + 1) / 2 - self.mean) / self.std
        return cast("_Tapped", self.network).forward_intermediates(seen, indices=self.layers, intermediates_only=True)


def build_backbone(config: BackboneConfig) -> _Lite | _Timm:
    """The network of a configuration, with its weights.

    Raises:
        UnusableBackbone: it is not known, or its weights are not there.
    """
    match config:
        case LiteConfig():
            return _Lite()
        case TimmConfig():
            return _Timm(config)


def _loaded(config: TimmConfig) -> nn.Module:
    """Every weight comes from the file: timm's own loading leaves what it does not find at random."""
    import timm  # heavy, and optional: named networks alone need it

    if not timm.is_model(config.name):
        raise UnusableBackbone(f"timm has no network {config.name!r}; `timm.list_models()` names those it has")
    network = timm.create_model(config.name, pretrained=False)
    maps = len(cast("Sized", network.feature_info)) if hasattr(network, "forward_intermediates") else 0
    if not maps or max(config.layers) >= maps:
        raise UnusableBackbone(f"{config.name} has {maps} feature maps, counted from 0, but layers={config.layers} are asked for")
    path = Path(config.weights)
    if path.suffix != ".safetensors" or not path.is_file():
        raise UnusableBackbone(
            f"weights={config.weights} is no safetensors file; nothing is downloaded, so put the weights of {config.name} there"
        )
    try:
        network.load_state_dict(load_file(path), strict=True)
    except RuntimeError as error:
        seen = " ".join(str(error).split())[:300]
        raise UnusableBackbone(f"{path} does not hold the weights of {config.name}: {seen}") from error
    return network


def _input_statistics(network: nn.Module) -> dict[str, tuple[float, ...]]:
    """Mean and standard deviation of the pixels in [0, 1] that it was trained on."""
    from timm.data.config import resolve_model_data_config  # heavy, see `_loaded`

    known = resolve_model_data_config(network)
    return {name: known[name] for name in ("mean", "std")}


def _unit(features: Float[Tensor, "b c y x"]) -> Float[Tensor, "b c y x"]:
    return functional.normalize(features.float(), dim=1, eps=1e-6)
