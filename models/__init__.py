"""Pure torch models of the generator: no cluster, no tracking, no tables.

Importing this package makes torchvision importable where its compiled operators cannot load (a CUDA build of torchvision
beside a CPU build of torch): timm, open_clip and every transformers model import torchvision, which refuses to import
when ``torchvision::nms`` has no schema. It is the one import side effect of the code base.
"""

import importlib.util
from pathlib import Path

import torch
from torch.library import Library

_schemas: list[Library] = []  # a Library's definitions live as long as the object


def ensure_torchvision() -> bool:
    """Whether torchvision's compiled operators are loaded; when they cannot be, declare the schemas its import needs.

    Only ``nms`` and ``qnms`` are looked up at import; calling either without the compiled library still fails.
    Needed for torchvision 0.28 as built for CUDA beside a CPU build of torch 2.13; superfluous where both are built alike.
    """
    if _schemas:
        return False
    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None:
        raise ImportError("torchvision is not installed; reinstall seedbed with its constraints (`make setup`)")
    try:
        torch.ops.load_library(str(Path(spec.origin).with_name("_C.so")))
    except OSError:
        schemas = Library("torchvision", "FRAGMENT")
        for operator in ("nms", "qnms"):
            schemas.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _schemas.append(schemas)
        return False
    return True


ensure_torchvision()
