"""Recipes of `seedbed promote`."""

from infra.storage import Workspace
from pipelines.promote import AtLeast, AtMostShare, Condition, PromoteConfig
from pipelines.recipes import latest

GATE: tuple[Condition, ...] = (
    AtLeast(metric="eval/retrieval_r1/t2i/ci_lo", value=0.3),
    AtLeast(metric="eval/retrieval_r1/edit/ci_lo", value=0.2),
    AtMostShare(metric="eval/frechet_lite0/t2i", share=0.5, of="eval/frechet_lite0/t2i/noise"),
)
"""What a generator must reach to be served: most pictures recognisable, edits followed, far from noise."""


def default(workspace: Workspace) -> PromoteConfig:
    """The newest generator, on its newest evaluation.

    Run:      seedbed promote
    """
    bundle = latest.bundle(workspace, "generator")
    return PromoteConfig(bundle=bundle, evaluation=latest.evaluation(workspace, bundle), gate=GATE)
