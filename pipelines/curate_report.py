"""The report of `curate`: what the decision did, with pictures, and what measuring took.

One page in the workspace, under ``reports/``, and among the run's artifacts.
"""

import io
from collections.abc import Iterable, Mapping

import pyarrow as pa
from PIL import Image

from curation import commit
from curation.decode import Undecodable, decode_scaled
from curation.dedup import nearest
from curation.dedup.nearest import Nearest, nearest_kept
from curation.review import Review, Sampled, columns_read, review
from curation.tables import QUARANTINING, TableRef
from curation.verdict import DUPLICATES, DecisionConfig
from eval.document import html
from infra.session import Session
from infra.tracking import Run
from pipelines.columns import costs_in
from pipelines.cost_section import Spent
from pipelines.curate_page import MOST_LEAVES, STYLE, Shown, document
from pipelines.job import recorded

FOLDER = "reports"
NUM_SAMPLES = 8
"""Rows shown of each reason and of each leaf."""
_UNSEEN = (*QUARANTINING, "unsafe")
"""First reasons of rows whose pictures are not shown."""
_SIDE_PX = 128
_QUALITY = 62


def write_report(
    images: TableRef, rules: DecisionConfig, session: Session, run: Run, *, digest: str, metrics: Mapping[str, float]
) -> str:
    """Review the standing verdicts of the rows that the version of `images` names, and store the page; gives its place.

    Args:
        digest: of the job, names the page.
        metrics: of the job, with the costs if anything was measured.
    """
    batches = commit.batches_of(images, columns_read(rules), where="verdict IS NOT NULL")
    found = review(batches, rules, num_samples=NUM_SAMPLES)
    found = found._replace(kept=_of_largest_leaves(found))
    winners = _winners(found, images, rules)
    page = document(found, rules, images, shown=_shown(found, images, rules, winners), spent=_spent(images, session, metrics))
    text, name = html(page, style=STYLE), f"curate-{digest}.html"
    session.workspace.write_text(text, FOLDER, name)
    run.log_text(text, name)
    return session.workspace.uri(FOLDER, name)


def thumbnail(encoded: bytes | None) -> bytes | None:
    """A small WebP of an encoded picture, transparent parts white; None when it cannot be decoded."""
    if encoded is None:
        return None
    try:
        pixels = decode_scaled(encoded, _SIDE_PX).pixels
    except Undecodable:
        return None
    small, buffer = Image.fromarray(pixels), io.BytesIO()
    small.thumbnail((_SIDE_PX, _SIDE_PX))
    small.save(buffer, "WEBP", quality=_QUALITY)
    return buffer.getvalue()


def _of_largest_leaves(found: Review) -> dict[str, tuple[Sampled, ...]]:
    kept = {line["category"]: line["kept"] for line in found.funnel.to_pylist()}
    return {leaf: found.kept[leaf] for leaf in sorted(found.kept, key=lambda leaf: (-kept[leaf], leaf))[:MOST_LEAVES]}


def _winners(found: Review, images: TableRef, rules: DecisionConfig) -> dict[str, Nearest]:
    losers = [sampled.row_id for reason in DUPLICATES for sampled in found.gone.get(reason, ())]
    if rules.dedup is None or not losers:
        return {}
    columns = nearest.columns_read(rules.dedup)
    kept = commit.batches_of(images, columns, where="verdict = 'kept'")
    return nearest_kept(_rows(images, columns, losers), kept, rules.dedup)


def _shown(found: Review, images: TableRef, rules: DecisionConfig, winners: Mapping[str, Nearest]) -> dict[str, Shown]:
    """What the page says of each sampled row and of the winners beside them, by id."""
    sampled = [one for group in (*found.kept.values(), *found.gone.values()) for one in group]
    hidden = {one.id for one in sampled if one.reasons and one.reasons[0] in _UNSEEN}
    measures = [measure for measure, _ in found.histograms]
    columns = dict.fromkeys(["id", "image", *rules.quarantine.columns, *(measure.column for measure in measures)])
    rows = _rows(images, list(columns), [*(one.row_id for one in sampled), *(one.row_id for one in winners.values())])
    values = {measure: measure.values(rows).tolist() for measure in measures}
    shown = {}
    for place, row in enumerate(rows.to_pylist()):
        errors = {name: row[name] for name in rules.quarantine.columns if row[name]}
        shown[row["id"]] = Shown(
            thumbnail=None if row["id"] in hidden else thumbnail(row["image"]),
            values={measure.name: values[measure][place] for measure in measures},
            errors=errors, winner=winners.get(row["id"]),
        )  # fmt: skip
    return shown


def _rows(images: TableRef, columns: Iterable[str], row_ids: Iterable[int]) -> pa.Table:
    listed = ",".join(map(str, sorted(set(row_ids)))) or "NULL"
    return commit.rows_of(images, list(columns), where=f"_rowid IN ({listed})")


def _spent(images: TableRef, session: Session, metrics: Mapping[str, float]) -> Spent | None:
    """What measuring took in this run, else in the last run over this table that measured anything."""
    costs = costs_in(metrics, "curate")
    if costs is not None:
        return Spent(costs, "")
    for outcome in reversed(recorded("curate", session.workspace)):
        costs = costs_in(outcome.metrics, "curate")
        if costs is not None and outcome.outputs["images"] == images.uri:
            return Spent(costs, f"{outcome.finished:%Y-%m-%d %H:%M} UTC")
    return None
