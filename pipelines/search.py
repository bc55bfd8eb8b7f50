"""Search: ``seedbed search ["WORDS"] [--image FILE] [--leaf DOMAIN/LEAF] [--limit N] [--where FILTER] [--sheet PNG] [--json]``.

The first search in a workspace fills the head's column and builds indexes; later ones only take in what has come since. With
``--leaf``, rows that may belong to a scenario of the taxonomy and are not in it by their captions are proposed.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from curation.decode import Undecodable, training_view
from curation.retrieval import Hit, rows_by_id, search
from curation.tables import TableRef
from eval.render import Row, grid
from infra.errors import UserError
from infra.session import Session, open_session
from infra.settings import Settings
from infra.storage import Workspace
from pipelines import exports
from pipelines.finding import Finder
from pipelines.leaf_search import propose

SHEET_CELL_PX = 128
SHEET_ACROSS = 6
BY_WORDS_ALONE = "no contrastive head on record, so texts are matched by words alone; `seedbed fit contrastive` makes one"


class Found(NamedTuple):
    """What a search gives, with the table it looked in."""

    table: TableRef
    hits: list[Hit]
    notes: Mapping[str, str]
    """By id: what else is known of a hit."""


def command(arguments: Sequence[str], settings: Settings) -> int:
    """The ``search`` command.

    Raises:
        UserError: nothing to search for, a bad filter, a file that is no picture, or a table that was not measured.
    """
    flags = _parser().parse_args(arguments)
    if flags.leaf and (flags.words or flags.image):
        raise UserError("--leaf brings its own words; leave out the words and --image")
    if not (flags.words or flags.image or flags.leaf):
        raise UserError("nothing to search for; give words, --image FILE or --leaf DOMAIN/LEAF")
    with open_session(settings) as session:
        found = _of_leaf(flags, session) if flags.leaf else _of_query(flags, session)
    if flags.sheet is not None:
        _write_sheet(found, flags.sheet, session.workspace)
    print(_as_json(found) if flags.json else "\n".join(_lines(found)))
    return 0


def _parser() -> argparse.ArgumentParser:
    about = "find pictures by words, by a picture, or by both"
    parser = argparse.ArgumentParser(prog="seedbed search", description=about, allow_abbrev=False)
    parser.add_argument("words", nargs="?", metavar="WORDS", help="what is looked for, English or Chinese")
    parser.add_argument("--image", type=Path, metavar="FILE", help="a picture that the wanted ones look like")
    parser.add_argument("--leaf", metavar="DOMAIN/LEAF", help="propose rows for a scenario of the taxonomy")
    parser.add_argument("--limit", type=_positive, default=12, metavar="N", help="how many [12]")
    parser.add_argument("--where", metavar="FILTER", help="only rows that pass, for example \"verdict = 'kept'\"")
    parser.add_argument("--sheet", type=Path, metavar="PNG", help="write the pictures with their labels as one picture")
    parser.add_argument("--json", action="store_true", help="everything, as JSON")
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is below 1")
    return number


def _of_query(flags: argparse.Namespace, session: Session) -> Found:
    finder = Finder(session)
    by_picture = finder.of_picture(flags.image) if flags.image else None
    table = finder.prepared()
    if flags.words and not finder.knows_meaning:
        sys.stderr.write(f"{BY_WORDS_ALONE}\n")
    query = finder.of_text(flags.words) if flags.words else by_picture
    assert query is not None
    if by_picture is not None:
        query = query._replace(likeness=by_picture.likeness)
    return Found(table, search(table, query, limit=flags.limit, where=flags.where), {})


def _of_leaf(flags: argparse.Namespace, session: Session) -> Found:
    table, candidates = propose(Finder(session), flags.leaf, limit=flags.limit, where=flags.where)
    notes = {one.hit.id: f"fits {one.fit:.2f}, now {one.leaf}" for one in candidates}
    return Found(table, [one.hit for one in candidates], notes)


def _lines(found: Found) -> list[str]:
    if not found.hits:
        return ["nothing found"]
    width = max(len(hit.id) for hit in found.hits)
    return [_line(number, hit, found.notes.get(hit.id), width) for number, hit in enumerate(found.hits, start=1)]


def _line(number: int, hit: Hit, note: str | None, width: int) -> str:
    why = ", ".join(f"{name} #{place} ({hit.values[name]:.2f})" for name, place in hit.places.items())
    return f"{number:>3}  {hit.score:.4f}  {hit.id:<{width}}  {hit.text}  [{'; '.join(filter(None, [why, note]))}]"


def _as_json(found: Found) -> str:
    hits = [hit._asdict() | ({"note": found.notes[hit.id]} if hit.id in found.notes else {}) for hit in found.hits]
    return json.dumps({"table": found.table.model_dump(), "hits": hits}, ensure_ascii=False, indent=1)


def _write_sheet(found: Found, file: Path, workspace: Workspace) -> None:
    """Write the pictures of the hits as one labelled picture.

    Raises:
        UserError: there is nothing to show, or no place to write it.
    """
    if not found.hits:
        raise UserError(f"nothing found, so there is no sheet to write to {file}; look for something else")
    if not file.parent.is_dir():
        raise UserError(f"--sheet {file}: there is no folder {file.parent}; make it first")
    stored = rows_by_id(found.table, [hit.id for hit in found.hits], ["image"]).to_pylist()
    encoded = {row["id"]: row["image"] for row in stored}
    rows = [
        Row((_shown(encoded[hit.id]),), f"{number}. {hit.text} ({hit.score:.4f}) {hit.id}")
        for number, hit in enumerate(found.hits, start=1)
    ]
    sheet = grid(rows, heads=[""], across=min(SHEET_ACROSS, len(rows)), cell_px=SHEET_CELL_PX)
    exports.note(workspace, file, [hit.id for hit in found.hits])
    Image.fromarray(sheet).save(file)


def _shown(encoded: bytes | None) -> np.ndarray | None:
    """The pixels of a picture; None where there are none, as for a row that is quarantined."""
    if encoded is None:
        return None
    try:
        return training_view(encoded, SHEET_CELL_PX)
    except Undecodable:
        return None
