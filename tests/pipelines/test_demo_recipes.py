"""Recipes of the chain: what the longer one has in common with the short one, and what not."""

from infra.storage import Workspace
from pipelines.recipes.demo import CATEGORIES, LEARNT, default, embedded, smoke
from train.objectives.flow import FlowConfig


def test_what_is_embedded_is_learnt_from_more_pictures_for_longer_and_otherwise_alike(workspace: Workspace) -> None:
    short, long = default(workspace), embedded(workspace)
    assert long.ingest == short.ingest
    assert long.pairs.categories == long.select.rules.categories == CATEGORIES
    for name in ("autoencoder", "contrastive", "generator"):
        before, after = getattr(short, name), getattr(long, name)
        assert after.num_steps > before.num_steps
        assert (after.plan.seed, after.plan.batch_samples, after.optim) == (
            before.plan.seed, before.plan.batch_samples, before.optim
        )  # fmt: skip
    assert isinstance(long.generator.objective, FlowConfig)
    assert isinstance(short.generator.objective, FlowConfig)
    assert long.generator.objective.dit == short.generator.objective.dit


def test_the_smoke_test_has_every_stage_on_few_pictures_and_steps(workspace: Workspace) -> None:
    whole, short = default(workspace), smoke(workspace)
    assert [name for name in type(short).model_fields if getattr(short, name) is None] == []
    assert short.pairs.compose != whole.pairs.compose
    for name in ("autoencoder", "contrastive", "generator"):
        assert getattr(short, name).num_steps <= 10


def test_it_is_compared_with_the_generator_of_the_package_on_what_that_has_learnt(workspace: Workspace) -> None:
    short, long = default(workspace), embedded(workspace)
    assert short.compare is None
    assert long.compare is not None
    assert long.compare.categories == LEARNT
    assert long.compare.beside is not None
    assert long.compare.beside.endswith("pretrained/generator")
    assert (long.compare.seed, long.compare.level, long.compare.train) == (
        short.evaluate.seed, short.evaluate.level, short.evaluate.train
    )  # fmt: skip
    assert (long.evaluate.beside, long.evaluate.categories) == (None, ())
