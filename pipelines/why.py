"""Everything known of one row, on one screen: ``seedbed why ID [--json]``."""

import argparse
from collections.abc import Iterator, Mapping, Sequence

from pydantic import BaseModel, JsonValue

from curation.lineage import descendants_of
from curation.signals import NAMED
from curation.signals.knowledge_quality import SCHEMA as KNOWLEDGE_SCHEMA
from curation.tables import CAPTION_SCHEMA, IMAGES_SCHEMA, LATENT_SCHEMA, VERDICT_SCHEMA, TableRef, open_table
from curation.takedown import read_records
from curation.taxonomy.assignment import LEAF_SCHEMA
from infra.errors import UserError
from infra.settings import Settings
from infra.storage import Workspace
from pipelines.where_used import Uses, images_table, uses_of

_MAX_NUMBERS = 8
_MAX_SHOWN = 8
_VERSION, _ERROR = "_version", "_error"
_OUTPUTS: Mapping[str, str] = {
    **{name: one.name for one in NAMED.values() for name in one.outputs.names},
    **dict.fromkeys(LEAF_SCHEMA.names, "leaf"),
    **dict.fromkeys(KNOWLEDGE_SCHEMA.names, "knowledge_quality"),
    **dict.fromkeys(CAPTION_SCHEMA.names, "caption"),
    **dict.fromkeys(LATENT_SCHEMA.names, "latent"),
}
"""Columns whose names do not say which signal fills them."""


class SignalState(BaseModel, frozen=True, extra="forbid"):
    """What one signal said of the row."""

    version: str
    """"" when it was not asked."""
    error: str
    """"" when it gave values."""
    values: dict[str, JsonValue]
    """By column; vectors are told by their length."""


class Explanation(BaseModel, frozen=True, extra="forbid"):
    """Everything known of one row."""

    id: str
    table: TableRef
    provenance: dict[str, JsonValue]
    """IMAGES_SCHEMA without the bytes."""
    num_bytes: int
    """Size of the picture, 0 when there is none."""
    signals: dict[str, SignalState]
    verdict: str
    """"" before `curate`."""
    reasons: list[str]
    other: dict[str, JsonValue]
    """Columns of no signal."""
    children: tuple[str, ...]
    """Pictures composed from it, through all generations."""
    uses: Uses
    """What saw it or its children."""


def command(arguments: Sequence[str], settings: Settings) -> int:
    """The ``why`` command.

    Raises:
        UserError: no row has that id.
    """
    parser = argparse.ArgumentParser(prog="seedbed why", description="everything known of one row", allow_abbrev=False)
    parser.add_argument("id", metavar="ID", help="id of a row of the table images")
    parser.add_argument("--json", action="store_true", help="everything, as JSON")
    flags = parser.parse_args(arguments)
    explanation = explain(flags.id, Workspace(settings.root))
    print(explanation.model_dump_json(indent=2) if flags.json else "\n".join(lines_of(explanation)))
    return 0


def explain(row_id: str, workspace: Workspace) -> Explanation:
    """Everything known of one row.

    Raises:
        UserError: no row has that id; says so when it was taken down.
    """
    images = images_table(workspace)
    row = _row(images, row_id, workspace)
    encoded = row.pop("image")
    rest = {name: value for name, value in row.items() if name not in (*IMAGES_SCHEMA.names, *VERDICT_SCHEMA.names)}
    names = [name.removesuffix(_VERSION) for name in rest if name.endswith(_VERSION)]
    owners = {column: _owner(column, names) for column in rest}
    return Explanation(
        id=row_id,
        table=images,
        provenance={name: row[name] for name in IMAGES_SCHEMA.names if name != "image"},
        num_bytes=len(encoded or b""),
        signals={name: _state(name, rest, [column for column in rest if owners[column] == name]) for name in names},
        verdict=row.get("verdict") or "",
        reasons=row.get("verdict_reasons") or [],
        other={column: _short(rest[column]) for column in rest if owners[column] not in names},
        children=tuple(sorted(descendants_of(images, [row_id]))),
        uses=uses_of([row_id], workspace),
    )


def lines_of(explanation: Explanation) -> list[str]:
    """One readable screen."""
    state = explanation.verdict or "not judged yet"
    because = f": {', '.join(explanation.reasons)}" if explanation.reasons else ""
    lines = [f"{explanation.id}  {state}{because}", f"  {explanation.table.uri} at version {explanation.table.version}"]
    filled = {name: value for name, value in explanation.provenance.items() if value not in ("", []) and name != "id"}
    lines += [f"  {name:<14}{value}" for name, value in filled.items()]
    lines.append(f"  {'picture':<14}{explanation.num_bytes:,} bytes" if explanation.num_bytes else "  no picture")
    lines += [line for name, one in explanation.signals.items() for line in _signal_lines(name, one)]
    lines += [f"{name}  {_in_words(name, value)}" for name, value in explanation.other.items()]
    lines += _listed("composed from it", explanation.children)
    for use in explanation.uses.selections:
        lines.append(f"selection {use.uri}")
        samples = [f"{one.task} {one.sample_id}  weight {one.weight:g}, {one.split}" for one in use.samples]
        lines += [f"  {text}" for text in samples[:_MAX_SHOWN]]
        lines += [f"  … {len(samples) - _MAX_SHOWN:,} more (--json)"] if len(samples) > _MAX_SHOWN else []
    for name in ("fits", "bundles", "unreadable_bundles", "evaluations"):
        lines += _listed(name.replace("_", " "), getattr(explanation.uses, name))
    return lines


def _row(images: TableRef, row_id: str, workspace: Workspace) -> dict:
    literal = row_id.replace("'", "''")
    found = open_table(images).to_table(filter=f"id = '{literal}'").to_pylist()
    if found:
        return found[0]
    for record in read_records(workspace):
        if row_id in {row.id for row in record.affected.rows}:
            on = f"{record.begun:%Y-%m-%d}"
            raise UserError(f"row {row_id!r} was taken down on {on} (takedown {record.id}: {record.reason or 'no reason given'})")
    what_to_do = "`seedbed where-used SOURCE --json` lists those of a source"
    raise UserError(f"no row {row_id!r} in {images.uri} at version {images.version}; {what_to_do}")


def _owner(column: str, names: Sequence[str]) -> str | None:
    """The signal that fills a column: known, or told by the longest name that the column begins with."""
    if column in _OUTPUTS:
        return _OUTPUTS[column]
    fitting = [name for name in names if column == name or column.startswith(f"{name}_")]
    return max(fitting, key=len, default=None)


def _state(name: str, row: Mapping[str, JsonValue], columns: Sequence[str]) -> SignalState:
    version, error = row.get(f"{name}{_VERSION}"), row.get(f"{name}{_ERROR}")
    own = (f"{name}{_VERSION}", f"{name}{_ERROR}")
    values = {column: _short(row[column]) for column in columns if column not in own}
    return SignalState(version=str(version or ""), error=str(error or ""), values=values)


def _short(value: JsonValue) -> JsonValue:
    """The value, or the length of a long vector or of bytes."""
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    is_vector = isinstance(value, list) and len(value) > _MAX_NUMBERS and isinstance(value[0], float)
    return f"{len(value)} numbers" if isinstance(value, list) and is_vector else value


def _signal_lines(name: str, one: SignalState) -> Iterator[str]:
    yield f"{name}  " + (f"version {one.version}" if one.version else "not computed") + (f"  {one.error}" if one.error else "")
    for column, value in one.values.items():
        if isinstance(value, list):
            yield f"  {column}"
            yield from (f"    {each}" for each in value)
        elif value is not None:
            yield f"  {column:<20}{_in_words(column, value)}"


def _in_words(column: str, value: JsonValue) -> str:
    if column == "perceptual_hash" and isinstance(value, int):
        return f"{value:016x}"
    return f"{value:.5g}" if isinstance(value, float) else str(value)


def _listed(title: str, names: Sequence[str]) -> list[str]:
    more = [f"  … {len(names) - _MAX_SHOWN:,} more (--json)"] if len(names) > _MAX_SHOWN else []
    return [f"{title}  {len(names)}", *(f"  {one}" for one in names[:_MAX_SHOWN]), *more]
