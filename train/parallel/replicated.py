"""Every worker holds the whole network; gradients are summed."""

from typing import Literal

from pydantic import BaseModel


class DdpConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Replicated: for networks that fit one device with their optimizer."""

    kind: Literal["ddp"] = "ddp"
