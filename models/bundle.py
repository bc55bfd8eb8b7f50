"""Bundles: trained weights with everything needed to use them and to walk back to what they were trained on.

A bundle is a folder of ``bundle.json`` and safetensors files. The manifest says what is inside (a closed union), the SHA-256
of every file, and the lineage. Nothing is ever unpickled. A bundle is written beside its place and renamed, so a folder that
exists is whole.
"""

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import torch
from annotated_types import Gt
from pydantic import BaseModel, Field, ValidationError
from safetensors.torch import load_file, save_file
from torch import Tensor

from models.autoencoder import AutoencoderConfig
from models.bilingual import BilingualConfig
from models.perception.contrastive import ContrastiveConfig
from models.samplers import SamplerConfig
from models.sizes import DiTConfig
from models.text import TextEncoderConfig

FORMAT_VERSION = 3
MANIFEST = "bundle.json"


class BundleError(ValueError):
    """The folder is not a bundle this installation can read."""


class AutoencoderBundle(BaseModel, frozen=True, extra="forbid"):
    """Weights of an autoencoder."""

    kind: Literal["autoencoder"] = "autoencoder"
    autoencoder: AutoencoderConfig
    size_px: Annotated[int, Gt(0)]
    """Side of the square pictures it was trained on."""


class ContrastiveBundle(BaseModel, frozen=True, extra="forbid"):
    """Weights of an image-text head."""

    kind: Literal["contrastive"] = "contrastive"
    head: ContrastiveConfig


class TextBundle(BaseModel, frozen=True, extra="forbid"):
    """Weights of a text encoder, and of the head that tells which pictures its texts fit."""

    kind: Literal["text"] = "text"
    encoder: BilingualConfig
    head: ContrastiveConfig


class GeneratorBundle(BaseModel, frozen=True, extra="forbid"):
    """Weights of a transformer, of the autoencoder whose latents it draws and, if no package holds them, of its text encoder."""

    kind: Literal["generator"] = "generator"
    dit: DiTConfig
    autoencoder: AutoencoderConfig
    text_encoder: TextEncoderConfig
    sampler: SamplerConfig
    size_px: Annotated[int, Gt(0)]
    """Side of the square that it draws when no size is asked for."""


Contents = Annotated[AutoencoderBundle | ContrastiveBundle | TextBundle | GeneratorBundle, Field(discriminator="kind")]


class TableVersion(BaseModel, frozen=True, extra="forbid"):
    """One version of one table."""

    uri: str
    version: int


class Lineage(BaseModel, frozen=True, extra="forbid"):
    """Where a bundle comes from."""

    run_id: str
    """Tracking run that trained it."""
    tables: tuple[TableVersion, ...]
    """Tables its rows were read from."""
    selection: TableVersion
    """Which of those rows it saw."""
    parents: tuple[str, ...]
    """Digests of the bundles it builds on."""
    code: str
    """Digest of the code that trained it."""


class Manifest(BaseModel, frozen=True, extra="forbid"):
    """What ``bundle.json`` holds."""

    format_version: int
    contents: Contents
    lineage: Lineage
    metrics: dict[str, float]
    files: dict[str, str]
    """SHA-256 of every weights file."""

    @property
    def digest(self) -> str:
        """Name of exactly these weights and contents: 12 hexadecimal digits."""
        named = json.dumps({"contents": self.contents.model_dump(mode="json"), "files": self.files}, sort_keys=True)
        return hashlib.sha256(named.encode()).hexdigest()[:12]


def save_bundle(
    folder: Path, contents: Contents, weights: Mapping[str, Mapping[str, Tensor]], *,
    lineage: Lineage, metrics: Mapping[str, float], dtype: torch.dtype = torch.float32,
) -> Manifest:  # fmt: skip
    """Write a bundle; an existing one at `folder` is replaced only once the new one is whole.

    Args:
        weights: one safetensors file per entry, named without the suffix.
        dtype: what floating-point matrices are stored as; vectors (norms, statistics) stay in fp32.
    """
    beside = folder.with_name(f".{folder.name}.writing")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    files = {}
    for name, tensors in weights.items():
        path = beside / f"{name}.safetensors"
        save_file({key: _stored(tensor, dtype) for key, tensor in tensors.items()}, path)
        files[path.name] = _sha256(path)
    manifest = Manifest(format_version=FORMAT_VERSION, contents=contents, lineage=lineage, metrics=dict(metrics), files=files)
    (beside / MANIFEST).write_text(manifest.model_dump_json(indent=2) + "\n")
    if folder.exists():
        shutil.rmtree(folder)
    beside.rename(folder)
    return manifest


def record_metrics(folder: Path, metrics: Mapping[str, float]) -> Manifest:
    """Write scores into a bundle's manifest; what the bundle is, and so its digest, stays.

    Raises:
        BundleError: no bundle is there.
    """
    manifest = read_manifest(folder).model_copy(update={"metrics": dict(metrics)})
    beside = folder / f".{MANIFEST}.part"
    beside.write_text(manifest.model_dump_json(indent=2) + "\n")
    beside.replace(folder / MANIFEST)
    return manifest


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a bundle.

    Raises:
        BundleError: no bundle there, or one of a format this installation does not read.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise BundleError(f"no bundle at {folder} ({MANIFEST} is missing); `seedbed fit` writes one")
    raw = json.loads(path.read_text())
    found = raw.get("format_version")
    if found != FORMAT_VERSION:
        raise BundleError(
            f"bundle {folder} has format version {found}, this installation reads {FORMAT_VERSION}; fit it again, "
            "or use it with the release that wrote it"
        )
    try:
        return Manifest.model_validate(raw)
    except ValidationError as error:
        raise BundleError(
            f"{path} does not describe a bundle: {error.errors()[0]['msg']} at {error.errors()[0]['loc']}"
        ) from error


def load_tensors(folder: Path, name: str) -> dict[str, Tensor]:
    """One weights file of a bundle, checked against its digest, in fp32.

    Raises:
        BundleError: the file is missing or is not the one that was written.
    """
    manifest = read_manifest(folder)
    path = folder / f"{name}.safetensors"
    if path.name not in manifest.files or not path.is_file():
        raise BundleError(f"bundle {folder} has no {path.name}; it holds {sorted(manifest.files)}")
    if (seen := _sha256(path)) != manifest.files[path.name]:
        raise BundleError(f"{path} was changed or damaged: digest {seen[:12]}, expected {manifest.files[path.name][:12]}")
    return {key: tensor.float() if tensor.is_floating_point() else tensor for key, tensor in load_file(path).items()}


def _stored(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    keep = tensor.dim() < 2 or not tensor.is_floating_point()
    return (tensor if keep else tensor.to(dtype)).detach().cpu().contiguous()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
