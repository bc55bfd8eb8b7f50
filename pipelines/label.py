"""Label: ``seedbed label export (--question TEXT [--name NAME] | --signal NAME) [--limit N]``, ``seedbed label import FILE``.

Export picks rows worth asking about and writes one page that needs no network; the page saves a file; import keeps its labels,
fits a classifier, says how well it tells labels it has not seen, and fills ``label_<name>_score``. What is known of a question::

    labels/<name>/question.txt     labels/<name>/labels.jsonl     one {"id", "value"} a line
"""

import argparse
import base64
import hashlib
import io
import json
import re
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from curation import active_learning as learning
from curation import commit
from curation.active_learning import HeldOut, Label
from curation.backfill import Rows
from curation.decode import Undecodable, decode_scaled
from curation.retrieval import FEATURES, rows_by_id, search, vectors_of, visible
from curation.signals import features
from curation.signals.features import MEASURED
from curation.tables import TableRef, open_table, pin
from curation.takedown import read_blocked
from curation.workers import Tasks
from eval.stats import wilson
from infra.errors import UserError
from infra.session import Session, open_session
from infra.settings import Settings
from infra.storage import Workspace
from pipelines import exports
from pipelines.columns import fill
from pipelines.finding import Finder

SHOWN_PX = 256
WORKERS = 2


class Question(NamedTuple):
    """What is asked of every picture."""

    name: str
    text: str


class Asked(NamedTuple):
    """A row on the page."""

    id: str
    score: float | None


def command(arguments: Sequence[str], settings: Settings) -> int:
    """The ``label`` command.

    Raises:
        UserError: an unknown question, a file that is none of ours, or too few labels to fit anything.
    """
    flags = _parser().parse_args(arguments)
    with open_session(settings) as session:
        if flags.action == "export":
            question = _question(flags, session.workspace)
            page = flags.out or Path(f"labels-{question.name}.html")
            count = export(question, session, page, limit=flags.limit, where=flags.where)
            print(f"{page}: {count} pictures; open it, answer with y, n and s, save, then `seedbed label import FILE`")
        else:
            print(import_labels(flags.file, session))
    return 0


def export(question: Question, session: Session, page: Path, *, limit: int, where: str | None = None) -> int:
    """Write the page with rows worth asking about; gives how many there are.

    Raises:
        UserError: nothing is left to ask about, or there is no place for the page.
    """
    if not page.parent.is_dir():
        raise UserError(f"--out {page}: there is no folder {page.parent}; make it first")
    asked, table = _chosen(question, session, limit=limit, where=where)
    if not asked:
        raise UserError(f"no measured picture is left to ask about for {question.name!r}; widen --where or ingest more")
    _remember(question, session.workspace)
    exports.note(session.workspace, page, [one.id for one in asked])
    page.write_text(_page(question, table, asked), encoding="utf-8")
    return len(asked)


def import_labels(file: Path, session: Session) -> str:
    """Keep the labels of a file, fit, and fill the column of scores; gives what came of it in words.

    Labels are kept even where there are too few to fit.

    Raises:
        UserError: the file is none of ours, names rows that are not in the table, or there are too few labels in all.
    """
    if not file.is_file():
        raise UserError(f"no file {file}; give the one that the page saved")
    given = learning.parsed(file.read_text(encoding="utf-8"), name=str(file))
    table = pin(TableRef(uri=session.workspace.uri("tables", "images.lance")))
    gone = read_blocked(session.workspace).ids
    answers_given = [label for label in given.labels if label.id not in gone]
    _require_rows(table, [label.id for label in answers_given])
    labels = learning.merged(_known_labels(session.workspace, given.name), answers_given)
    text = "".join(f"{label.model_dump_json()}\n" for label in labels)
    _remember(Question(given.name, given.question), session.workspace)
    session.workspace.write_text(text, "labels", given.name, "labels.jsonl")
    ids, found = _features(table, [label.id for label in labels])
    value = {label.id: label.value for label in labels}
    answers = np.array([value[row_id] for row_id in ids], dtype=bool)
    signal = learning.label_signal(given.name, learning.fit(found, answers))
    held_out = learning.cross_validated(ids, found, answers)
    done = fill("label", session, table, [signal], workers=Tasks(WORKERS), rows=Rows(where=MEASURED))
    scored = f"{done.num_rows:,} rows scored in {learning.score_column(given.name)}, version {signal.version}"
    left_out = {"taken down": len(given.labels) - len(answers_given), "without features": len(labels) - len(ids)}
    return "; ".join([_in_words(held_out, scored), *(f"{num} labels of rows {why}" for why, num in left_out.items() if num)])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="seedbed label", description="ask about pictures, learn from the answers",
                                     allow_abbrev=False)  # fmt: skip
    actions = parser.add_subparsers(dest="action", required=True, metavar="export|import")
    export_ = actions.add_parser("export", help="write a page with pictures to label", allow_abbrev=False)
    which = export_.add_mutually_exclusive_group(required=True)
    which.add_argument("--question", metavar="TEXT", help="begin: what is asked, for example \"Is it food?\"")
    which.add_argument("--signal", metavar="NAME", help="go on with a question that was begun")
    export_.add_argument("--name", metavar="NAME", help="short name of a question, for its column [from its words]")
    export_.add_argument("--limit", type=int, default=40, metavar="N", help="pictures on the page [40]")
    export_.add_argument("--where", metavar="FILTER", help="only rows that pass, for example \"verdict = 'kept'\"")
    export_.add_argument("--out", type=Path, metavar="HTML", help="the page [labels-NAME.html]")
    import_ = actions.add_parser("import", help="learn from a file that the page saved", allow_abbrev=False)
    import_.add_argument("file", type=Path, metavar="FILE")
    return parser


def _question(flags: argparse.Namespace, workspace: Workspace) -> Question:
    if flags.limit < 1:
        raise UserError(f"--limit {flags.limit}: expected 1 or more pictures")
    if flags.signal is None:
        name = flags.name or "_".join(re.findall(r"[a-z0-9]+", flags.question.lower()))[:40].strip("_")
        return Question(_checked(name), flags.question)
    shortened = flags.signal.removeprefix("label_").removesuffix("_score")
    for name in (flags.signal, shortened):                            # the column may be named as well as the question
        if workspace.exists("labels", _checked(name), "question.txt"):
            return Question(name, workspace.read_text("labels", name, "question.txt"))
    raise UserError(f"no question {shortened!r} in {workspace.root}; begin one with --question TEXT [--name {shortened}]")


def _checked(name: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,39}", name):
        raise UserError(f"{name!r} cannot name a column; give --name with small letters, digits and _, a letter first")
    return name


def _remember(question: Question, workspace: Workspace) -> None:
    """Keep what is asked under the name.

    Raises:
        UserError: the name stands for another question, whose labels would be mixed with these.
    """
    if workspace.exists("labels", question.name, "question.txt"):
        known = workspace.read_text("labels", question.name, "question.txt")
        if known != question.text:
            raise UserError(f"{question.name!r} already asks {known!r}, not {question.text!r}; give another --name")
    workspace.write_text(question.text, "labels", question.name, "question.txt")


def _chosen(question: Question, session: Session, *, limit: int, where: str | None) -> tuple[list[Asked], TableRef]:
    """Uncertain rows by the scores there are; without scores, half of what a search for the question finds, half of anything."""
    table = pin(TableRef(uri=session.workspace.uri("tables", "images.lance")))
    dataset, column = open_table(table), learning.score_column(question.name)
    commit.require_columns(table, features.SIGNAL.schema, job="curate")
    labelled = {label.id for label in _known_labels(session.workspace, question.name)}
    if column in dataset.schema.names:
        pool = _uncertain_pool(table, column, labelled, num=limit * learning.POOL, where=where)
        return _unlike(table, pool, limit, seed=len(labelled)), table
    finder = Finder(session)
    table = finder.prepared()
    hits = search(table, finder.of_text(question.text), limit=limit * 2, where=_askable(table, where))
    likely = [Asked(hit.id, None) for hit in hits if hit.id not in labelled]
    first = _unlike(table, likely, (limit + 1) // 2, seed=len(labelled))
    taken = labelled | {row.id for row in first}
    anything = _drawn_pool(table, question.name, taken, num=limit * learning.POOL, where=where)
    return [*first, *_unlike(table, anything, limit - len(first), seed=len(labelled))], table


def _uncertain_pool(table: TableRef, column: str, labelled: set[str], *, num: int, where: str | None) -> list[Asked]:
    rows = open_table(table).to_table(columns=["id", column], filter=_askable(table, f"{column} IS NOT NULL", where))
    ids, scores = rows["id"].to_pylist(), rows[column].to_numpy()
    order = learning.most_uncertain(scores, num + len(labelled))
    return [Asked(ids[place], float(scores[place])) for place in order.tolist() if ids[place] not in labelled][:num]


def _drawn_pool(table: TableRef, name: str, taken: set[str], *, num: int, where: str | None) -> list[Asked]:
    """Rows by the order of a keyed hash: the same ones on every machine."""
    ids = open_table(table).to_table(columns=["id"], filter=_askable(table, where))["id"].to_pylist()
    keys = {row_id: hashlib.sha256(f"{name}:{row_id}".encode()).digest() for row_id in ids if row_id not in taken}
    return [Asked(row_id, None) for row_id in sorted(keys, key=lambda row_id: keys[row_id])[:num]]


def _unlike(table: TableRef, pool: Sequence[Asked], num: int, *, seed: int) -> list[Asked]:
    if not pool:
        return []
    _, found = _features(table, [row.id for row in pool])
    weights = [1.0 if row.score is None else row.score for row in pool]
    wanted = np.ones(len(pool)) if pool[0].score is None else learning.uncertainty(np.array(weights, dtype=np.float32))
    return [pool[place] for place in learning.choose(found, wanted, num, seed=seed)]


def _askable(table: TableRef, *filters: str | None) -> str:
    """Rows that are measured and may be shown, narrowed further."""
    wanted = " AND ".join(f"({each})" for each in (MEASURED, *filters) if each)
    return visible(open_table(table), wanted) or wanted


def _features(table: TableRef, ids: Sequence[str]) -> tuple[list[str], np.ndarray]:
    """Features of those of the rows that have them."""
    rows = rows_by_id(table, ids, [FEATURES])
    known = rows.filter(rows[FEATURES].is_valid())
    return known["id"].to_pylist(), vectors_of(known[FEATURES])


def _require_rows(table: TableRef, ids: Sequence[str]) -> None:
    found = set(rows_by_id(table, ids, [])["id"].to_pylist())
    missing = [row_id for row_id in ids if row_id not in found]
    if missing:
        raise UserError(f"{len(missing)} of {len(ids)} labels name rows that are not in {table.uri}, the first is {missing[0]}; "
                        "give the --root that the page was exported from")  # fmt: skip


def _known_labels(workspace: Workspace, name: str) -> list[Label]:
    if not workspace.exists("labels", name, "labels.jsonl"):
        return []
    return [Label.model_validate_json(line) for line in workspace.read_text("labels", name, "labels.jsonl").splitlines()]


def _page(question: Question, table: TableRef, asked: Sequence[Asked]) -> str:
    rows = rows_by_id(table, [row.id for row in asked], ["image", "text_en"]).to_pylist()
    by_id = {row["id"]: row for row in rows}
    shown = [
        {"id": row.id, "text": by_id[row.id]["text_en"], "score": row.score, "picture": _as_data_uri(by_id[row.id]["image"])}
        for row in asked
    ]
    content = json.dumps({"name": question.name, "question": question.text, "rows": shown}, ensure_ascii=False)
    template = files("pipelines").joinpath("label_page.html").read_text(encoding="utf-8")
    return template.replace("{{ASKED}}", content.replace("<", "\\u003c"))


def _as_data_uri(encoded: bytes | None) -> str:
    """The picture, small, inside a URI; "" where it cannot be shown."""
    if encoded is None:
        return ""
    try:
        picture = Image.fromarray(decode_scaled(encoded, SHOWN_PX).pixels)
    except Undecodable:
        return ""
    picture.thumbnail((SHOWN_PX, SHOWN_PX))
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", quality=85)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _in_words(held_out: HeldOut, done: str) -> str:
    right, same = wilson(held_out.num_right, held_out.num), held_out.num_right_always_same / held_out.num
    accuracy = f"{right.value:.0%} of {held_out.num} labels told when held out ({right.low:.0%} to {right.high:.0%})"
    return f"{accuracy}, {same:.0%} by always giving the same answer; {done}"
