"""The feed: rows of the pinned table, drawn by the plan."""

from collections.abc import Callable
from pathlib import Path

import lance
import pytest
import torch

from curation.tables import TableRef, open_table
from train.config import FitConfig
from train.feed import Feed, FeedConfig, RowCache, UnusableTable, load_samples
from train.objectives import build


def feed(config: FitConfig, *, cache_bytes: int = 1 << 20) -> Feed:
    objective = build(config.objective)
    rows = RowCache(open_table(config.data), objective, cache_bytes=cache_bytes)
    return Feed(load_samples(config.data, "train"), config.plan, rows, objective, config=FeedConfig())


def test_a_step_prepared_again_is_the_same_to_the_last_bit(fit_config: FitConfig) -> None:
    first, again = (feed(fit_config).prepare(5, [0, 1]) for _ in range(2))
    for (share, batch), (same_share, same) in zip(first, again, strict=True):
        assert share == same_share
        assert torch.equal(batch.noise, same.noise)
        assert torch.equal(batch.time, same.time)
        assert torch.equal(batch.clean.text, same.clean.text)


def test_shares_of_all_slots_add_up_to_one(fit_config: FitConfig) -> None:
    assert sum(share for share, _ in feed(fit_config).prepare(0, [0, 1])) == pytest.approx(1.0)


def test_a_tiny_memory_changes_nothing(fit_config: FitConfig) -> None:
    large, small = feed(fit_config), feed(fit_config, cache_bytes=1)
    for step in range(3):
        for (_, batch), (_, same) in zip(large.prepare(step, [0, 1]), small.prepare(step, [0, 1]), strict=True):
            assert torch.equal(batch.data.latents, same.data.latents)


def test_steps_come_in_order_and_the_thread_ends_with_them(fit_config: FitConfig) -> None:
    whole = feed(fit_config)
    assert [item.step for item in whole.steps(2, 6, slots=[0])] == [2, 3, 4, 5]
    for item in whole.steps(0, 100, slots=[0]):
        assert item.step == 0
        break


def test_references_are_the_rows_that_the_selection_names(fit_config: FitConfig) -> None:
    samples = load_samples(fit_config.data, "train")
    edit = samples.ids.index("e3")
    assert (int(samples.targets[edit]), samples.references[edit]) == (4, (3,))
    assert len(samples.ids) == 20


def test_a_row_without_latent_is_refused_with_the_job_to_run(
    fit_config: FitConfig, tmp_path: Path, write_images_without: Callable[[Path, int], TableRef]
) -> None:
    images = write_images_without(tmp_path / "gap.lance", 0)
    gap = fit_config.model_copy(update={"data": images.model_copy(update={"selection": fit_config.data.selection})})
    with pytest.raises(UnusableTable, match="seedbed encode"):
        list(feed(gap).steps(0, 20, slots=[0, 1]))


def test_a_selection_of_other_pictures_is_refused(fit_config: FitConfig) -> None:
    lance.dataset(fit_config.data.uri).delete("id = 'p4'")
    fewer = TableRef(uri=fit_config.data.uri, version=2, selection=fit_config.data.selection)
    with pytest.raises(UnusableTable, match="lacks 1 selected pictures, 'p4' first"):
        load_samples(fewer, "train")
