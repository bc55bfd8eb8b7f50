"""Which arithmetic a processor does well."""

from typing import Literal

import torch

Precision = Literal["fp32", "bf16"]


def native_precision() -> Precision:
    """bf16 where the CPU multiplies it natively; elsewhere it is emulated at a fraction of fp32's speed."""
    is_native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return "bf16" if is_native else "fp32"
