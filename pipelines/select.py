"""Select: choose the samples of a training run by rules. Reads metadata only, so it takes seconds and no Ray."""

from functools import partial

import pyarrow as pa
from pydantic import BaseModel, Field

from curation import commit
from curation.selections import SelectRules, choose, columns_of, in_words, num_untold, pictures_of
from curation.tables import VERDICT_SCHEMA, TableRef, open_table, pin
from infra.errors import UserError
from infra.session import Session
from infra.tracking import Run
from pipelines.job import Outcome, Work, job_digest, run_job


class SelectConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """From which tables, by which rules."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_.]*$")
    """First part of the selection's name; the digest of this configuration is the second."""
    images: TableRef
    """The table of pictures, curated and captioned."""
    pairs: TableRef
    """The table of edits and compositions."""
    decision: TableRef | None = None
    """A decision that `seedbed sweep` stored, instead of the verdicts that stand in the table."""
    rules: SelectRules
    """What is chosen."""


def run(config: SelectConfig, session: Session) -> Outcome:
    """Write the selection; outputs `selection` (its place), `images` and `version` (the table it narrows)."""
    named = {name: table for name in ("images", "pairs", "decision") if (table := getattr(config, name)) is not None}
    resolved = SelectConfig.model_validate(config.model_dump() | {name: pin(table).model_dump() for name, table in named.items()})
    return run_job("select", resolved, session, partial(_select, resolved, session))


def _select(config: SelectConfig, session: Session, run: Run) -> Work:
    images = open_table(config.images)
    commit.require_columns(config.images, VERDICT_SCHEMA, job="curate")
    captions = pa.schema([pa.field(name, pa.list_(pa.string())) for name in config.rules.captions.columns])
    commit.require_columns(config.images, captions, job="caption")
    pairs = open_table(config.pairs).to_table()
    with session.progress.stage("select", total=None, unit="samples") as bar:
        decision = None if config.decision is None else open_table(config.decision).to_table(columns=["id", "verdict", "weight"])
        pictures = images.to_table(columns=list(columns_of(config.rules)))
        selection = choose(pictures, pairs, config.rules, decision=decision)
        untold = num_untold(pictures, config.rules, decision=decision)
        without = f"; {untold:,} kept pictures have no caption of the mix" if untold else ""
        if not selection.num_rows:
            rules = "rules.categories, rules.styles and rules.captions"
            raise UserError(f"no kept picture of {config.images.uri} fits the rules{without}; check {rules}")
        uri = session.workspace.uri("selections", f"{config.name}-{job_digest('select', config)}.lance")
        table = commit.write_selection(uri, selection)
        bar.set(selection.num_rows)
    for read in filter(None, (config.images, config.pairs, config.decision)):
        run.log_table(read.uri, commit.version_of(read), "input")
    run.log_table(uri, commit.version_of(table), "selection")
    return Work(
        rows_in=images.count_rows() + pairs.num_rows,
        rows_out=selection.num_rows,
        quarantined=0,
        outputs={"selection": uri, "images": config.images.uri, "version": str(config.images.version)},
        metrics={
            "select/samples": selection.num_rows,
            "select/untold_images": untold,
            "select/pictures_images": len(pictures_of(selection)),
        },
        note=f"chose {selection.num_rows:,} samples: {in_words(selection)}{without}",
    )
