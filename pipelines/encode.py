"""Encode: latents of the selected pictures, targets and references alike, as columns of the table `images`.

One resolution at a time, each in columns of its own (`column`): the stages of a training name those that they learn from.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from jaxtyping import UInt8
from pydantic import BaseModel, Field

from curation import commit
from curation.backfill import Rows
from curation.decode import native_view, training_view
from curation.framing import PixelSize, native_size
from curation.selections import pictures_of, read_selection
from curation.signals.contract import Compute, Signal
from curation.tables import LATENT, VERDICT_SCHEMA, LatentColumn, MissingTable, TableRef, latent_schema, pin, pin_rows
from curation.workers import Actors
from infra.errors import UserError
from infra.session import Session
from infra.tracking import Run
from pipelines.columns import costs, fill
from pipelines.job import Outcome, Work, run_job


class SquareConfig(BaseModel, frozen=True, extra="forbid"):
    """Pictures are fitted into a square of the size that the autoencoder was trained on, with a white margin."""

    kind: Literal["square"] = "square"


class NativeConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Pictures keep their aspect, from 1:16 to 16:1, and are scaled down only (`curation.framing`)."""

    kind: Literal["native"] = "native"
    max_side_px: int = Field(gt=0)
    """Side of the square whose area no picture exceeds."""


class EncodeConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Which pictures are encoded by which autoencoder."""

    images: TableRef
    """The table of pictures, narrowed by a selection."""
    bundle: str
    """Folder of the autoencoder's bundle."""
    sizes: Annotated[SquareConfig | NativeConfig, Field(discriminator="kind")] = SquareConfig()
    """At which sizes pictures are encoded."""
    column: LatentColumn = LATENT
    """Column of the latents; others beside it stay."""
    batch_size: int = Field(gt=0)
    """Pictures encoded at once."""
    workers: int = Field(gt=0)
    """Actors that encode; each holds the autoencoder."""
    bundle_digest: str = ""
    """Digest of the bundle; filled in when the job starts."""


def latents(config: EncodeConfig) -> Signal:
    """Latents by an autoencoder's bundle, as a signal like those that are measured."""
    seen = f".{config.sizes.max_side_px}px" if isinstance(config.sizes, NativeConfig) else ""
    return Signal(
        name=config.column, version=f"{config.bundle_digest}{seen}", inputs=("image",), outputs=latent_schema(config.column),
        build=partial(_load, config), batch_rows=config.batch_size,
    )  # fmt: skip


def _load(config: EncodeConfig) -> Compute:
    from curation.latents import encode_batch  # heavy: only workers need torch
    from models.generate import load_autoencoder

    autoencoder, contents = load_autoencoder(Path(config.bundle))
    view = _view(config.sizes, square_px=contents.size_px, factor=contents.autoencoder.factor)
    return partial(encode_batch, autoencoder=autoencoder, view=view, column=config.column)


def _view(
    sizes: SquareConfig | NativeConfig, *, square_px: int, factor: int
) -> Callable[[bytes], UInt8[np.ndarray, "y x 3"]]:
    match sizes:
        case SquareConfig():
            return partial(training_view, size_px=square_px)
        case NativeConfig(max_side_px=max_side_px):
            return partial(native_view, max_side_px=max_side_px, multiple_px=factor)


def run(config: EncodeConfig, session: Session) -> Outcome:
    """Fill `latent_schema(column)` for the selection's pictures; outputs `images`, its `version` and the `selection`."""
    from models.bundle import read_manifest

    if config.images.selection is None:
        raise UserError("encode needs images.selection, the output of `seedbed select`: its pictures are what is encoded")
    manifest = read_manifest(Path(config.bundle))
    if manifest.contents.kind != "autoencoder":
        raise UserError(f"bundle {config.bundle} is of kind {manifest.contents.kind!r}, encode needs an autoencoder's")
    if isinstance(config.sizes, NativeConfig):
        _require_room(config.sizes, factor=manifest.contents.autoencoder.factor)
    filled_in = {"images": pin_rows(config.images).model_dump(), "bundle_digest": manifest.digest}
    resolved = EncodeConfig.model_validate({**config.model_dump(), **filled_in})
    return run_job("encode", resolved, session, partial(_encode, resolved, session, config.images.selection))


def _encode(config: EncodeConfig, session: Session, selection: str, run: Run) -> Work:
    pictures = pictures_of(read_selection(selection))
    _require_kept(config.images, pictures)
    signal = latents(config)
    limits = Rows(where="verdict = 'kept'", among=pictures)
    done = fill("encode", session, config.images, [signal], rows=limits, workers=Actors(config.workers))
    table = done.table
    run.log_table(table.uri, commit.version_of(table), "output")
    return Work(
        rows_in=len(pictures),
        rows_out=done.num_rows,
        quarantined=done.num_failed,
        outputs={"images": table.uri, "version": str(table.version), "selection": selection},
        metrics={
            "encode/encoded_images": done.num_rows, "encode/selected_images": len(pictures), **costs(done, "encode"),
        },
        note=f"encoded {done.num_rows:,} of {len(pictures):,} selected pictures into {config.column} by {config.bundle_digest}",
    )  # fmt: skip


def _require_room(sizes: NativeConfig, *, factor: int) -> None:
    """Refuse at once what would fail for every picture."""
    try:
        native_size(PixelSize(factor, factor), max_side_px=sizes.max_side_px, multiple_px=factor)
    except ValueError as error:
        raise UserError(f"sizes of the encoding: {error}") from error


def _require_kept(images: TableRef, pictures: frozenset[str]) -> None:
    commit.require_columns(pin(TableRef(uri=images.uri)), VERDICT_SCHEMA, job="curate")
    kept = frozenset(commit.rows_of(images, ["id"], where="verdict = 'kept'")["id"].to_pylist())
    gone = sorted(pictures - kept)
    if gone:
        raise MissingTable(
            f"{len(gone)} selected pictures (for example {gone[0]}) are no kept rows of {images.uri} version {images.version}; "
            "select from this version again"
        )
