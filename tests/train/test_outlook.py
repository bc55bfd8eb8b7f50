"""What a training is said to take."""

import re
from pathlib import Path

import numpy as np
import pytest
from tiny_fit import changed, tiny_fit

from infra.storage import Workspace
from models.cost import transformer_cost
from pipelines.recipes.fit import base, full
from train.config import FitConfig
from train.objectives.flow import FlowConfig
from train.outlook import GPU_FLOPS_PER_S, UTILISATION, Outlook, lines, outlook
from train.parallel.replicated import DdpConfig


@pytest.fixture
def large(tmp_path: Path) -> FitConfig:
    return full(Workspace(str(tmp_path)))


def found(config: FitConfig) -> Outlook:
    assert isinstance(config.objective, FlowConfig)
    return outlook(config, config.objective)


def test_a_run_for_a_cluster_is_looked_at_before_there_is_any_data(large: FitConfig) -> None:
    parameters, memory, *stages, days, reader = lines(found(large), large)
    assert reader == "what reads texts, Qwen/Qwen3-VL-4B-Instruct, is on every worker besides; it is not counted"
    assert parameters == "about 5.64 B parameters, 5.51 B of them Muon's"
    assert re.match(r"\d\d\.\d GB on each of 256 workers \(fsdp\): weights 2\.8, gradients 2\.8, optimizer 2\.9, ", memory)
    assert [line.split(":")[0] for line in stages] == ["stage 512", "stage 1k", "stage 4k"]
    assert re.fullmatch(r"on 256 GPUs that reach 40% of 989 TFLOP/s: 512 .* hours, 1k .* days, 4k .* days", days)
    columns = [re.findall(r"tokens a picture of (\w+),", line) for line in stages]
    assert columns == [["latent_512"], ["latent_1k"], ["latent_4k"]]


def test_gpus_of_eighty_gigabytes_hold_the_runs_for_clusters(tmp_path: Path) -> None:
    for recipe in (base, full):
        assert sum(found(recipe(Workspace(str(tmp_path)))).holdings) < 70e9, recipe


def test_days_are_told_of_gpus_alone(tmp_path: Path) -> None:
    config = tiny_fit(tmp_path)
    assert "TFLOP/s" not in "".join(lines(found(config), config))


def test_shards_divide_what_is_held_and_replicas_do_not(large: FitConfig) -> None:
    whole = found(large.model_copy(update={"parallel": DdpConfig()})).holdings
    within_a_node = found(large).holdings
    everywhere = found(large.model_copy(update={"parallel": large.parallel.model_copy(update={"replicas": 1})})).holdings
    for name in ("weights", "gradients", "optimizer", "average"):
        assert getattr(within_a_node, name) == pytest.approx(getattr(whole, name) / 8)
        assert getattr(everywhere, name) == pytest.approx(getattr(whole, name) / 256)
    assert whole.weights == 4 * found(large).parameters


@pytest.mark.parametrize(("stage", "parts"), [(1, (1, 1, 8)), (2, (1, 8, 8)), (3, (8, 8, 8))])
def test_stages_of_zero_divide_one_thing_more_each(tmp_path: Path, stage: int, parts: tuple[int, int, int]) -> None:
    config = base(Workspace(str(tmp_path)))
    whole = changed(config, optim={"matrices": "adamw"})
    divided = whole.model_validate({**whole.model_dump(), "parallel": {"kind": "deepspeed", "stage": stage}})
    ours, all_of_it = found(divided).holdings, found(whole.model_copy(update={"parallel": DdpConfig()})).holdings
    assert [round(b / a) for a, b in zip(ours[:3], all_of_it[:3], strict=True)] == list(parts)


def test_muon_holds_one_state_of_a_matrix_and_adamw_two(large: FitConfig) -> None:
    by_muon = found(large)
    by_adamw = found(changed(large, optim={"matrices": "adamw"}))
    assert by_adamw.holdings.optimizer - by_muon.holdings.optimizer == pytest.approx(4 * by_muon.by_muon / 8)
    assert by_muon.by_muon > 0.9 * by_muon.parameters


def test_recomputation_and_offload_leave_less_for_the_backward_pass(large: FitConfig) -> None:
    kept = [
        found(changed(large, memory=memory)).holdings.activations
        for memory in ({"recompute": "none"}, {"recompute": "selective"}, {"recompute": "full"}, {"offload": True})
    ]
    assert kept == sorted(kept, reverse=True)
    assert kept[-1] == 0


def test_days_are_operations_over_what_gpus_reach(tmp_path: Path) -> None:
    config = tiny_fit(tmp_path)
    (stage,) = found(config).stages
    assert isinstance(config.objective, FlowConfig)
    cost = transformer_cost(config.objective.dit, num_draws=2)
    text, edit = cost.of(np.array([128, 132]), np.array([4, 4]))
    assert stage.flops == pytest.approx(3 * (text + edit) / 2 * 6 * 12)
    assert stage.days(4) == pytest.approx(stage.flops / (4 * GPU_FLOPS_PER_S * UTILISATION) / 86_400)
