"""Rows fetched by actors of Ray Data."""

import pytest
import torch

from train.config import FitConfig
from train.feed import Feed, FeedConfig
from train.fetch import Fetched, RayDataConfig
from train.fetchers import NoRoom, fetched_of, line_of, require_room
from train.objectives import build
from train.plan import Plan
from train.samples import load_samples
from train.sources import build_source


def feed(config: FitConfig, given: FeedConfig) -> Feed:
    objective = build(config.objective)
    samples = load_samples(config.data, "train", unit=objective.unit)
    source = build_source(given.rows, config.data, objective)
    return Feed(samples, Plan(config.plan, samples.sizes, cost=objective.cost), objective, source, config=given)


def test_what_a_fetcher_sends_arrives_whole() -> None:
    pictures = {3: torch.arange(12, dtype=torch.uint8).view(2, 2, 3).permute(2, 0, 1), 8: torch.ones(1, 5, dtype=torch.uint8)}
    line = line_of(7, Fetched(pictures, {5: "truncated: cut"}, (9, 11)))
    arrived = fetched_of(line)
    assert line["step"].to_pylist() == [7]
    assert arrived.decoded.keys() == {3, 8}
    assert all(torch.equal(arrived.decoded[row], pictures[row]) for row in pictures)
    assert (arrived.undecodable, arrived.empty) == ({5: "truncated: cut"}, (9, 11))
    assert fetched_of(line_of(0, Fetched({}, {1: "html"}, ()))) == Fetched({}, {1: "html"}, ())


def test_steps_are_those_of_the_worker_itself(fit_config: FitConfig, local_ray: None) -> None:
    fetched = feed(fit_config, FeedConfig(rows=RayDataConfig(num_fetchers=2, cpus_per_fetcher=0.5, steps_per_block=2)))
    own = feed(fit_config, FeedConfig())
    pairs = zip(
        fetched.steps(1, 12, rank=1, num_workers=2), own.steps(1, 12, rank=1, num_workers=2), strict=True
    )  # fmt: skip
    for theirs, ours in pairs:
        assert theirs.step == ours.step
        for pack, same in zip(theirs.packs, ours.packs, strict=True):
            assert (pack.sample_ids, pack.share) == (same.sample_ids, same.share)
            assert torch.equal(pack.batch.data.latents, same.batch.data.latents)
            assert torch.equal(pack.batch.noise, same.batch.noise)


def test_more_fetchers_than_the_cluster_has_room_for_are_refused(local_ray: None) -> None:
    with pytest.raises(NoRoom, match="2 workers take 10 logical CPUs, Ray has 8"):
        require_room(RayDataConfig(num_fetchers=4), num_workers=2)
    require_room(RayDataConfig(num_fetchers=3), num_workers=2)
