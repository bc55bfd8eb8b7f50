"""The bench command: a table, a file, and refusals."""

import json
from pathlib import Path

import pytest

from infra.errors import UserError
from infra.settings import Settings
from pipelines.bench.command import command
from pipelines.bench.result import BenchResult, median_seconds


def test_a_benchmark_writes_its_result_beside_its_peers(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "flops.json"
    assert command(["flops", "--quick", "--json", str(place)], settings) == 0
    result = BenchResult.model_validate(json.loads(place.read_text()))
    assert all(result.checks.values())
    assert f"train_2k_all: {result.ratios['train_2k_all']:.2f}x" in capsys.readouterr().out


def test_an_unknown_benchmark_is_refused_with_the_list(settings: Settings) -> None:
    with pytest.raises(UserError, match=r"there are: packing, .*flops, .*all"):
        command(["speed"], settings)


def test_ways_are_timed_in_turns_after_a_warm_up() -> None:
    order: list[str] = []
    median_seconds({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, repetitions=2)
    assert order == ["a", "b", "a", "b", "a", "b"]
