"""Encode: latents of the selected pictures, targets and references alike, as columns of the table `images`."""

from functools import partial
from pathlib import Path

import pyarrow as pa
from pydantic import BaseModel, Field

from curation import commit
from curation.selections import pictures_of, read_selection
from curation.tables import LATENT_SCHEMA, MEASURED_SCHEMA, MissingTable, TableRef, pin
from infra.errors import UserError
from infra.session import Session
from infra.tracking import Run
from pipelines.columns import Columns, fill
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


class Encoding:
    """Encodes rows that have the column `image`; built in a worker, where it loads the autoencoder once."""

    def __init__(self, config: EncodeConfig) -> None:
        from curation.latents import encode_rows  # heavy: only workers need torch
        from models.generate import load_autoencoder

        autoencoder, contents = load_autoencoder(Path(config.bundle))
        self._encode = partial(
            encode_rows, autoencoder=autoencoder, size_px=contents.size_px,
            batch_size=config.batch_size, bundle_digest=config.bundle_digest,
        )  # fmt: skip

    def __call__(self, rows: pa.Table) -> pa.Table:
        """Rows of LATENT_SCHEMA."""
        return self._encode(rows)


def run(config: EncodeConfig, session: Session) -> Outcome:
    """Fill LATENT_SCHEMA for the selection's pictures; outputs `images`, its `version` and the `selection`."""
    from models.bundle import read_manifest

    if config.images.selection is None:
        raise UserError("encode needs images.selection, the output of `seedbed select`: its pictures are what is encoded")
    manifest = read_manifest(Path(config.bundle))
    if manifest.contents.kind != "autoencoder":
        raise UserError(f"bundle {config.bundle} is of kind {manifest.contents.kind!r}, encode needs an autoencoder's")
    filled_in = {"images": pin(config.images).model_dump(), "bundle_digest": manifest.digest}
    resolved = EncodeConfig.model_validate({**config.model_dump(), **filled_in})
    return run_job("encode", resolved, session, partial(_encode, resolved, session, config.images.selection))


def _encode(config: EncodeConfig, session: Session, selection: str, run: Run) -> Work:
    pictures = pictures_of(read_selection(selection))
    _require_kept(config.images, pictures)
    todo = f"verdict = 'kept' AND (latent_bundle IS NULL OR latent_bundle != '{config.bundle_digest}')"
    columns = Columns(LATENT_SCHEMA, ("image",), todo, among=pictures)
    build, workers = partial(Encoding, config), commit.Actors(config.workers)
    table, num_rows, num_fresh = fill("encode", session, config.images, columns, build=build, workers=workers)
    run.log_table(table.uri, commit.version_of(table), "output")
    return Work(
        rows_in=num_rows,
        rows_out=num_fresh,
        quarantined=0,
        outputs={"images": table.uri, "version": str(table.version), "selection": selection},
        metrics={"encode/encoded_images": num_fresh, "encode/selected_images": num_rows},
        note=f"encoded {num_fresh:,} of {num_rows:,} selected pictures with bundle {config.bundle_digest}",
    )


def _require_kept(images: TableRef, pictures: frozenset[str]) -> None:
    commit.require_columns(images, MEASURED_SCHEMA, job="curate")
    kept = frozenset(commit.rows_of(images, ["id"], where="verdict = 'kept'")["id"].to_pylist())
    gone = sorted(pictures - kept)
    if gone:
        raise MissingTable(
            f"{len(gone)} selected pictures (for example {gone[0]}) are no kept rows of {images.uri} version {images.version}; "
            "select from this version again"
        )
