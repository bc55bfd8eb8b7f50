"""Schemas, column names and table references: the contract between curation and everything that reads its tables.

Two tables and one kind of selection:

* ``images``: one row per picture. Provenance comes with ``ingest``; measured, described and encoded columns are added later.
* ``pairs``: one row per edit or composition, pointing at pictures by id. Pixels live in ``images`` alone, so every picture,
  composed ones included, is measured, encoded and taken down the same way.
* a selection: which rows a training run may see, with a task and a weight each. No pixels, no copies.

A table is never read without a version: ``TableRef`` carries one, and `open_table` refuses a reference that does not.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

import lance
import pyarrow as pa
from pydantic import BaseModel, StringConstraints

SCHEMA_VERSION = 1
"""Written into every table's schema metadata under ``seedbed.schema_version``; a newer one is refused by name."""

SUPERSEDED_BY = b"seedbed.superseded_by"
"""Key of the schema metadata of a closed table: the URI of the table that took its place."""

THUMBNAIL_SIDE_PX = 16

FEATURE_DIM = 1280
"""Width of EfficientNet-lite0 pooled features."""

Split = Literal["train", "heldout"]
Verdict = Literal["kept", "dropped", "quarantined"]

CAPTION_LEVELS: tuple[str, ...] = ("short", "medium", "long")

QUARANTINING: tuple[str, ...] = (
    "unreadable",          # bytes missing, truncated, or not a picture
    "too_large",           # more pixels than the decoder accepts
    "failed",              # a signal raised
    "crashed",             # a signal took its worker with it, or too long
    "taken_down",          # its hash is one that was taken down, see curation.takedown
    "unmeasured",          # a value that the rules ask for is missing
)
"""Reasons for which a row is set aside rather than judged; all but the last begin the error columns of signals."""

REASONS: tuple[str, ...] = (
    *QUARANTINING,
    "too_small",
    "blank",               # alpha covers nothing
    "blurred",
    "unsafe",              # not safe for work
    "overlaid",            # marks of others cover too much of it
    "too_much_text",       # text covers more than its leaf may have
    "low_quality",
    "no_text",
    "foreign_text",        # in none of the languages that are learnt
    "bad_text",            # garbled, boilerplate, a file name, ...
    "misaligned",          # the text is about something else
    "duplicate_exact",
    "duplicate_near",
    "over_represented",
    "over_quota",
)
"""Closed list of verdict reasons, in the order in which they are applied."""

IMAGES_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),            # "<source>/<key>", unique in the table
        pa.field("source", pa.string(), nullable=False),        # "emoji", "folder", "composed"
        pa.field("locator", pa.string(), nullable=False),       # where the source finds the bytes again
        pa.field("image", pa.large_binary()),                   # encoded picture as received; null when it could not be read
        pa.field("ingest_error", pa.string(), nullable=False),  # "" or why the bytes are missing
        pa.field("text_en", pa.string(), nullable=False),       # original text
        pa.field("text_zh", pa.string(), nullable=False),       # original text in Chinese, "" when there is none
        pa.field("concept", pa.string(), nullable=False),       # what splits are made by: never in two splits
        pa.field("style", pa.string(), nullable=False),         # "flat", "outlined", "" when unknown
        pa.field("category", pa.string(), nullable=False),
        pa.field("subcategory", pa.string(), nullable=False),
        pa.field("tone", pa.string(), nullable=False),          # skin tone, "" when none
        pa.field("gender", pa.string(), nullable=False),        # "man", "woman", ""
        pa.field("colour", pa.string(), nullable=False),        # colour word in the name, ""
        pa.field("licence", pa.string(), nullable=False),       # SPDX identifier or the licence's name
        pa.field("attribution", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),         # Split
        pa.field("parents", pa.list_(pa.string()), nullable=False),  # ids this picture was composed from, [] for source rows
        pa.field("derivation", pa.string(), nullable=False),    # JSON of the operation on the parents, "" for source rows
    ]
)

HASHES_SCHEMA = pa.schema(
    [
        pa.field("num_bytes", pa.int64()),                # of the file
        pa.field("width_px", pa.int32()),                 # of the whole picture, upright
        pa.field("height_px", pa.int32()),
        pa.field("exact_hash", pa.string()),              # SHA-256 of the file
        pa.field("perceptual_hash", pa.uint64()),         # 64-bit DCT hash of the picture on white
        pa.field("thumbnail", pa.binary(THUMBNAIL_SIDE_PX**2)),  # luma of the picture squeezed into a square, row by row
    ]
)

APPEARANCE_SCHEMA = pa.schema(
    [
        pa.field("aspect", pa.float32()),                 # longer by shorter side, at least 1
        pa.field("bytes_per_pixel", pa.float32()),        # of the file
        pa.field("sharpness", pa.float32()),              # variance of the Laplacian of luma, luma in [0, 255]
        pa.field("luma_mean", pa.float32()),              # in [0, 255]
        pa.field("luma_entropy", pa.float32()),           # bits, in [0, 8]
        pa.field("border_variance", pa.float32()),        # of luma in [0, 255]
        pa.field("saturation", pa.float32()),             # in [0, 1]
        pa.field("colourfulness", pa.float32()),          # Hasler & Suesstrunk 2003, eq. for M^(3)
        pa.field("alpha_cover", pa.float32()),            # share of pixels with alpha > 1/2, in [0, 1]
    ]
)

FEATURES_SCHEMA = pa.schema([pa.field("image_features", pa.list_(pa.float32(), FEATURE_DIM))])

MEASURED_SCHEMA = pa.schema([*HASHES_SCHEMA, *APPEARANCE_SCHEMA, *FEATURES_SCHEMA])
"""What `curate` measures. Beside them stand each signal's version and error (`curation.signals.contract`)."""

VERDICT_SCHEMA = pa.schema(
    [
        pa.field("verdict", pa.string()),                 # Verdict
        pa.field("verdict_reasons", pa.list_(pa.string())),  # all that apply, in the order of REASONS; [] when kept
    ]
)

CAPTION_SCHEMA = pa.schema(
    [
        pa.field("captions_en", pa.list_(pa.string())),   # one per CAPTION_LEVELS
        pa.field("captions_zh", pa.list_(pa.string())),
        pa.field("captions_refused", pa.list_(pa.string())),  # JSON of each text that is no caption, with its reasons
    ]
)

LATENT = "latent"
"""Column of latents unless another is named; those of further resolutions are called after their side, `latent_512`."""

LatentColumn = Annotated[str, StringConstraints(pattern=r"^latent(_[0-9]+[a-z]?)?$")]
"""Name of a column of latents, for example `latent`, `latent_512`, `latent_1k`."""


def latent_schema(column: str) -> pa.Schema:
    """Columns of the latents of one resolution.

    `<column>_version` beside them is the digest of the autoencoder's bundle; where pictures keep sizes of their own, a dot and
    the largest side follow, for example ``3f2a91c04d5e.1024px``.
    """
    return pa.schema(
        [
            pa.field(column, pa.list_(pa.float32())),           # normalised latent, flattened (c, y, x)
            pa.field(f"{column}_shape", pa.list_(pa.int32())),  # (c, y, x)
        ]
    )


LATENT_SCHEMA = latent_schema(LATENT)

PAIRS_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("task", pa.string(), nullable=False),               # Task, but "t2i"
        pa.field("kind", pa.string(), nullable=False),               # "style", "background", "tone", "paste", "joined", ...
        pa.field("reference_ids", pa.list_(pa.string()), nullable=False),
        pa.field("target_id", pa.string(), nullable=False),
        pa.field("further_ids", pa.list_(pa.string()), nullable=False),  # targets after the first, in order; [] but in sets
        pa.field("instructions_en", pa.list_(pa.string()), nullable=False),  # one per CAPTION_LEVELS
        pa.field("instructions_zh", pa.list_(pa.string()), nullable=False),
        pa.field("target_caption_en", pa.string(), nullable=False),  # what the result shows, for scoring
        pa.field("category", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
    ]
)

SELECTION_SCHEMA = pa.schema(
    [
        pa.field("sample_id", pa.string(), nullable=False),          # id in `images` for t2i, in `pairs` otherwise
        pa.field("task", pa.string(), nullable=False),               # Task
        pa.field("target_id", pa.string(), nullable=False),
        pa.field("reference_ids", pa.list_(pa.string()), nullable=False),
        pa.field("further_ids", pa.list_(pa.string()), nullable=False),  # targets after the first, in order; [] but in sets
        pa.field("texts", pa.list_(pa.string()), nullable=False),    # what the model may be told, the first set's levels first
        pa.field("text_weights", pa.list_(pa.float32()), nullable=False),  # probability of each text
        pa.field("score_text", pa.string(), nullable=False),         # what the result shows, for scoring
        pa.field("tags", pa.list_(pa.string()), nullable=False),     # the target's style, or the kind of the pair
        pa.field("split", pa.string(), nullable=False),
        pa.field("weight", pa.float32(), nullable=False),
    ]
)


def picture_columns(schema: pa.Schema) -> list[str]:
    """Columns of pairs, or of a selection, that name pictures; tables from before there were sets lack the last."""
    return [name for name in ("target_id", "reference_ids", "further_ids") if name in schema.names]


def pictures_named(row: Mapping) -> tuple[str, ...]:
    """Ids of all pictures of a pair or of a sample, from its `picture_columns`."""
    return row["target_id"], *row["reference_ids"], *(row.get("further_ids") or ())


class TableRef(BaseModel, frozen=True, extra="forbid"):
    """A table at one version, optionally narrowed by a selection (itself a table)."""

    uri: str
    """Path or URI of the Lance dataset."""
    version: int | None = None
    """Lance version; None means "the newest", to be pinned with `pin` before anything is read."""
    selection: str | None = None
    """URI of the selection that narrows it, None for all rows."""


class MissingTable(ValueError):
    """The table, or that version of it, does not exist."""


class SupersededTable(MissingTable):
    """What the table held was taken down in part; another table took its place."""


class UnpinnedTable(ValueError):
    """A reference without a version was about to be read."""


def pin(ref: TableRef) -> TableRef:
    """The same reference with its version filled in from the newest one, when it had none.

    Raises:
        MissingTable: nothing is stored at `ref.uri`.
    """
    if ref.version is not None:
        return ref
    return ref.model_copy(update={"version": _dataset(ref.uri, None).version})


def pin_rows(ref: TableRef) -> TableRef:
    """The same reference at the earliest version with the rows of the newest one, when it had no version.

    Columns filled in since do not count, so a job that fills columns is the same job when it is repeated.

    Raises:
        MissingTable: nothing is stored at `ref.uri`.
    """
    if ref.version is not None:
        return ref
    versions = sorted(entry["version"] for entry in _dataset(ref.uri, None).versions())
    rows = _row_set(ref.uri, versions[-1])
    low, high = 0, len(versions) - 1
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if _row_set(ref.uri, versions[middle]) == rows else (middle + 1, high)
    return ref.model_copy(update={"version": versions[high]})


def _row_set(uri: str, version: int) -> list[tuple[int, int, int]]:
    fragments = _dataset(uri, version).get_fragments()
    return [(fragment.fragment_id, fragment.physical_rows, fragment.num_deletions) for fragment in fragments]


def open_table(ref: TableRef) -> lance.LanceDataset:
    """The dataset at exactly the pinned version.

    Raises:
        UnpinnedTable: `ref` has no version.
        MissingTable: the table or the version does not exist.
        SupersededTable: a takedown put another table in its place; the message names it.
    """
    if ref.version is None:
        raise UnpinnedTable(f"table {ref.uri} was given without a version; pin it first (a table is never read unpinned)")
    return _dataset(ref.uri, ref.version)


def _dataset(uri: str, version: int | None) -> lance.LanceDataset:
    try:
        dataset = lance.dataset(uri, version=version)
    except (ValueError, OSError) as error:
        if version is not None:
            _dataset(uri, None)                         # the newest version says by its name what became of older ones
        wanted = uri if version is None else f"{uri} at version {version}"
        raise MissingTable(f"no table at {wanted}; run the job that writes it (`seedbed --help` shows the order)") from error
    metadata = dataset.schema.metadata or {}
    if SUPERSEDED_BY in metadata:
        successor = metadata[SUPERSEDED_BY].decode()
        raise SupersededTable(f"table {uri} names rows that were taken down and is closed; use its successor {successor}")
    written = int(metadata.get(b"seedbed.schema_version", b"0"))
    if written > SCHEMA_VERSION:
        readable = f"this installation reads up to {SCHEMA_VERSION}; update seedbed"
        raise MissingTable(f"table {uri} has schema version {written}, {readable}")
    return dataset


def stamped(schema: pa.Schema) -> pa.Schema:
    """The schema with its format version added to the metadata, as every new table must be written."""
    return schema.with_metadata({**(schema.metadata or {}), "seedbed.schema_version": str(SCHEMA_VERSION)})
