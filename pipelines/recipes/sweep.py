"""Recipes of `seedbed sweep`."""

from collections import Counter

from curation import commit
from curation.tables import TableRef, pin
from curation.taxonomy.assignment import LEAF_SCHEMA, UNASSIGNED
from curation.taxonomy.loading import load_taxonomy
from curation.taxonomy.quotas import leaf_quotas, quotas_in
from curation.verdict import DecisionConfig
from infra.storage import Workspace
from pipelines.overrides import validated
from pipelines.recipes.curate import DRAWINGS, photographs
from pipelines.sweep import SweepConfig


def default(workspace: Workspace) -> SweepConfig:
    """The rules for drawings, over the table `images`.

    Run:      seedbed sweep --grid drop.blurred.limit=2,5,10 --grid dedup.near.bits=0,2,3
    Hardware: one core, well under a second a variant for 10^6 rows; one variant when no grid is given
    """
    return SweepConfig(
        images=TableRef(uri=workspace.uri("tables", "images.lance")), rules=DRAWINGS, grid=(), pick=None, name="swept"
    )


def scenarios(workspace: Workspace) -> SweepConfig:
    """Half of what `curate photographs` keeps, leaf by leaf as near to the taxonomy's shares as there are pictures.

    Run:      seedbed curate photographs && seedbed sweep scenarios
    Hardware: one core, seconds
    Expect:   a stored decision, in which leaves with plenty are cut to their share and rows of no leaf are `over_quota`
    """
    images, taxonomy = pin(TableRef(uri=workspace.uri("tables", "images.lance"))), load_taxonomy()
    commit.require_columns(images, LEAF_SCHEMA, job="curate photographs")
    kept = commit.rows_of(images, ["leaf"], where=f"verdict = 'kept' AND leaf != '{UNASSIGNED}'")["leaf"].to_pylist()
    quotas = quotas_in("leaf", leaf_quotas(len(kept) // 2, taxonomy, available=Counter(kept)))
    rules = validated(DecisionConfig, {**photographs(workspace).rules.model_dump(), "quotas": quotas})
    return SweepConfig(images=images, rules=rules, grid=(), pick=1, name="scenarios")
