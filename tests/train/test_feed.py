"""The feed: packs of the plan, made of rows of the pinned table."""

import logging
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import lance
import numpy as np
import pyarrow as pa
import pytest
import torch

from curation.decode import encode_png
from curation.tables import TableRef
from models.autoencoder import AutoencoderConfig
from train.config import FitConfig
from train.feed import BadPictures, Feed, FeedConfig
from train.fetch import InProcessConfig
from train.objectives import build
from train.objectives.autoencoder import AutoencoderObjectiveConfig
from train.objectives.contract import StepInput
from train.objectives.flow import FlowBatch
from train.objectives.smoothness import NoiseConfig
from train.plan import Plan
from train.samples import UnusableTable, load_samples
from train.sources import build_source

NUM_PICTURES = 10


def feed(config: FitConfig) -> Feed:
    objective = build(config.objective)
    samples = load_samples(config.data, "train", unit=objective.unit)
    objective.learn_texts(samples.all_texts())                       # as a run does: how texts are batched shows in the last bit
    plan = Plan(config.plan, samples.sizes, cost=objective.cost)
    return Feed(samples, plan, objective, build_source(config.feed.rows, config.data, objective), config=config.feed)


def steps(config: FitConfig, first: int, last: int, *, rank: int = 0, num_workers: int = 1) -> list[StepInput[FlowBatch]]:
    return list(feed(config).steps(first, last, rank=rank, num_workers=num_workers))


def with_feed(config: FitConfig, given: FeedConfig) -> FitConfig:
    return config.model_copy(update={"feed": given})


def same(one: StepInput[FlowBatch], other: StepInput[FlowBatch]) -> bool:
    return len(one.packs) == len(other.packs) and all(
        (mine.share, mine.sample_ids) == (theirs.share, theirs.sample_ids)
        and torch.equal(mine.batch.noise, theirs.batch.noise)
        and torch.equal(mine.batch.time, theirs.batch.time)
        and torch.equal(mine.batch.data.latents, theirs.batch.data.latents)
        and torch.equal(mine.batch.clean.text, theirs.batch.clean.text)
        for mine, theirs in zip(one.packs, other.packs, strict=True)
    )


def test_a_step_prepared_again_is_the_same_to_the_last_bit(fit_config: FitConfig) -> None:
    whole, resumed = steps(fit_config, 0, 6), steps(fit_config, 4, 6)
    assert [item.step for item in whole] == [0, 1, 2, 3, 4, 5]
    assert all(same(one, other) for one, other in zip(whole[4:], resumed, strict=True))
    assert not same(whole[4], whole[5])


def test_packs_of_all_workers_are_those_of_one_and_their_shares_add_up(fit_config: FitConfig) -> None:
    (alone,) = steps(fit_config, 3, 4)
    (first,), (second,) = (steps(fit_config, 3, 4, rank=rank, num_workers=2) for rank in range(2))
    packs = [*first.packs, *second.packs]
    assert [pack.sample_ids for pack in packs] == [pack.sample_ids for pack in alone.packs]
    assert sum(pack.share for pack in packs) == pytest.approx(1.0)
    assert (first.num_tokens, first.flops, first.num_samples) == (second.num_tokens, second.flops, 6)
    assert first.num_rounds == second.num_rounds == max(len(first.packs), len(second.packs))


def test_a_tiny_memory_changes_nothing(fit_config: FitConfig) -> None:
    large = steps(fit_config, 0, 3)
    small = steps(with_feed(fit_config, FeedConfig(rows=InProcessConfig(cache_bytes=0), prefetch_steps=1)), 0, 3)
    assert all(same(one, other) for one, other in zip(large, small, strict=True))


def test_every_step_says_how_long_it_was_waited_for(fit_config: FitConfig, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "train.feed"):
        waits = [item.wait_s for item in steps(fit_config, 2, 5)]
    (record,) = [record for record in caplog.records if record.message == "first batch"]
    assert record.__dict__["wait_s"] == waits[0] > 0
    assert min(waits) >= 0


def test_what_works_ahead_ends_with_the_iteration(fit_config: FitConfig) -> None:
    before = set(threading.enumerate())
    inputs = feed(fit_config).steps(0, 12, rank=0, num_workers=1)
    assert next(inputs).step == 0
    begun = set(threading.enumerate()) - before
    assert [thread.name for thread in begun] == ["ahead"]
    inputs.close()
    assert not any(thread.is_alive() for thread in begun)


def test_targets_come_once_each_in_row_order(fit_config: FitConfig) -> None:
    (part,) = feed(fit_config).target_pictures()
    stored = lance.dataset(fit_config.data.uri).to_table(columns=["latent"])["latent"].to_pylist()
    assert torch.equal(torch.stack(part).flatten(1), torch.tensor(stored))


def test_a_row_without_value_is_refused_with_the_job_to_run(fit_config: FitConfig, tmp_path: Path) -> None:
    table = lance.dataset(fit_config.data.uri).to_table()
    latents = table["latent"].to_pylist()
    gap = table.set_column(1, "latent", pa.array([None, *latents[1:]], pa.list_(pa.float32())))
    ref = TableRef(
        uri=str(tmp_path / "gap.lance"), version=lance.write_dataset(gap, str(tmp_path / "gap.lance")).version,
        selection=fit_config.data.selection,
    )  # fmt: skip
    with pytest.raises(UnusableTable, match=r"1 selected rows of .* have no latent or latent_shape, row 0 .*`seedbed encode`"):
        steps(fit_config.model_copy(update={"data": ref}), 0, 12)


@pytest.fixture
def pictures_config(fit_config: FitConfig, tmp_path: Path) -> Callable[[list[int]], FitConfig]:
    """The same selection of pictures, with an autoencoder to be trained; files of some rows are cut short."""
    shape = AutoencoderConfig(
        patch=4, widths=(16,), encoder_blocks=(1,), decoder_blocks=(1,), latent_channels=3, retouch_width=4
    )  # fmt: skip
    objective = AutoencoderObjectiveConfig(
        autoencoder=shape, size_px=8, smoothness=NoiseConfig(strength=0.0, pull=0.0), square_weight=1.0, edge_weight=0.0,
        perceptual=None,
    )

    def made(cut: list[int]) -> FitConfig:
        files = [encode_png(np.full((8, 8, 3), 20 * row, np.uint8)) for row in range(NUM_PICTURES)]
        files = [file[:40] if row in cut else file for row, file in enumerate(files)]
        table = pa.table({"id": [f"p{row}" for row in range(NUM_PICTURES)], "image": pa.array(files, pa.large_binary())})
        place = str(tmp_path / "pictures.lance")
        version = lance.write_dataset(table, place, mode="overwrite").version
        ref = TableRef(uri=place, version=version, selection=fit_config.data.selection)
        return fit_config.model_copy(update={"objective": objective, "data": ref})

    return made


def test_samples_with_a_bad_picture_contribute_nothing_and_are_counted(
    pictures_config: Callable[[list[int]], FitConfig], caplog: pytest.LogCaptureFixture
) -> None:
    lenient = FeedConfig(max_bad_fraction=0.05)
    whole, gapped = (steps(with_feed(pictures_config(cut), lenient), 0, 12) for cut in ([], [4]))
    lost: Counter[str] = Counter()
    for good, bad in zip(whole, gapped, strict=True):
        missing = Counter(name for pack in good.packs for name in pack.sample_ids)
        missing -= Counter(name for pack in bad.packs for name in pack.sample_ids)
        assert bad.num_bad == missing.total()
        assert sum(pack.share for pack in bad.packs) == pytest.approx(1 - missing.total() / 6)
        lost += missing
    assert lost.keys() == {"p4", "e3", "e4"}                         # as a target, and as the target or reference of an edit
    assert [record.__dict__["row"] for record in caplog.records if record.message == "picture not decoded"] == [4]


def test_too_many_bad_pictures_end_the_run_by_name(pictures_config: Callable[[list[int]], FitConfig]) -> None:
    config = with_feed(pictures_config([4, 5]), FeedConfig(max_bad_fraction=0.005))
    with pytest.raises(BadPictures, match=r"6 of \d+ samples .* of 2 rows, row 4 of .*feed.max_bad_fraction allows 0.50%"):
        steps(config, 0, 12)


def test_a_worker_left_without_a_sample_has_the_smallest_of_before_to_fill_in(
    pictures_config: Callable[[list[int]], FitConfig],
) -> None:
    config = with_feed(pictures_config([0, 1, 2, 3, 4, 5, 6]), FeedConfig(max_bad_fraction=0.99))
    seen = steps(config, 0, 12, num_workers=2)
    first = next(number for number, item in enumerate(seen) if item.packs)
    assert any(not item.packs for item in seen[first:])
    assert all(item.filler is None for item in seen[:first])
    assert all(item.filler is not None and len(item.filler.sample_ids) == 1 for item in seen[first:])


def test_what_fills_in_is_the_smallest_sample_so_far(fit_config: FitConfig) -> None:
    made = feed(fit_config)
    sizes = {made._samples.id(number): made._samples.sizes.clean_tokens[number] for number in range(len(made._samples))}
    smallest = min(sizes.values()) + 1000
    for item in made.steps(0, 6, rank=0, num_workers=1):
        smallest = min([smallest, *(sizes[name] for pack in item.packs for name in pack.sample_ids)])
        assert item.filler is not None
        assert [sizes[name] for name in item.filler.sample_ids] == [smallest]
