"""Encode: latents of the selected pictures, targets and references alike, as columns of the table `images`."""

from functools import partial
from pathlib import Path

from pydantic import BaseModel, Field

from curation import commit
from curation.backfill import Rows
from curation.selections import pictures_of, read_selection
from curation.signals.contract import Compute, Signal
from curation.tables import LATENT_SCHEMA, VERDICT_SCHEMA, MissingTable, TableRef, pin, pin_rows
from curation.workers import Actors
from infra.errors import UserError
from infra.session import Session
from infra.tracking import Run
from pipelines.columns import costs, fill
from pipelines.job import Outcome, Work, run_job


class EncodeConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Which pictures are encoded by which autoencoder."""

    images: TableRef
    """The table of pictures, narrowed by a selection."""
    bundle: str
    """Folder of the autoencoder's bundle; pictures are fitted into a square of the size it was trained on."""
    batch_size: int = Field(gt=0)
    """Pictures encoded at once."""
    workers: int = Field(gt=0)
    """Actors that encode; each holds the autoencoder."""
    bundle_digest: str = ""
    """Digest of the bundle; filled in when the job starts."""


def latents(bundle: str, *, digest: str, batch_rows: int) -> Signal:
    """Latents by an autoencoder's bundle, as a signal like those that are measured."""
    return Signal(
        name="latent", version=digest, inputs=("image",), outputs=LATENT_SCHEMA, build=partial(_load, bundle),
        batch_rows=batch_rows,
    )  # fmt: skip


def _load(bundle: str) -> Compute:
    from curation.latents import encode_batch  # heavy: only workers need torch
    from models.generate import load_autoencoder

    autoencoder, contents = load_autoencoder(Path(bundle))
    return partial(encode_batch, autoencoder=autoencoder, size_px=contents.size_px)


def run(config: EncodeConfig, session: Session) -> Outcome:
    """Fill LATENT_SCHEMA for the selection's pictures; outputs `images`, its `version` and the `selection`."""
    from models.bundle import read_manifest

    if config.images.selection is None:
        raise UserError("encode needs images.selection, the output of `seedbed select`: its pictures are what is encoded")
    manifest = read_manifest(Path(config.bundle))
    if manifest.contents.kind != "autoencoder":
        raise UserError(f"bundle {config.bundle} is of kind {manifest.contents.kind!r}, encode needs an autoencoder's")
    filled_in = {"images": pin_rows(config.images).model_dump(), "bundle_digest": manifest.digest}
    resolved = EncodeConfig.model_validate({**config.model_dump(), **filled_in})
    return run_job("encode", resolved, session, partial(_encode, resolved, session, config.images.selection))


def _encode(config: EncodeConfig, session: Session, selection: str, run: Run) -> Work:
    pictures = pictures_of(read_selection(selection))
    _require_kept(config.images, pictures)
    signal = latents(config.bundle, digest=config.bundle_digest, batch_rows=config.batch_size)
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
        note=f"encoded {done.num_rows:,} of {len(pictures):,} selected pictures with bundle {config.bundle_digest}",
    )  # fmt: skip


def _require_kept(images: TableRef, pictures: frozenset[str]) -> None:
    commit.require_columns(pin(TableRef(uri=images.uri)), VERDICT_SCHEMA, job="curate")
    kept = frozenset(commit.rows_of(images, ["id"], where="verdict = 'kept'")["id"].to_pylist())
    gone = sorted(pictures - kept)
    if gone:
        raise MissingTable(
            f"{len(gone)} selected pictures (for example {gone[0]}) are no kept rows of {images.uri} version {images.version}; "
            "select from this version again"
        )
