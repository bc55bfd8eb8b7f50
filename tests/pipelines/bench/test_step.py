"""The step benchmark: programs that answer line by line, and what is made of their answers."""

import io
import json
from pathlib import Path

import pytest

from infra.errors import UserError
from models.sizes import DiTConfig
from pipelines.bench import step, step_ours

TINY = DiTConfig(
    width=32, depth=1, num_heads=2, num_kv_heads=1, ffn_width=48, latent_channels=3, text_width=10, rope_axes=(4, 6, 6)
)
SAMPLES = [step_ours.Sample(text=3, target=(2, 2), references=[(1, 3)]), step_ours.Sample(text=1, target=(4, 2), references=[])]


def work() -> step_ours.Work:
    return step_ours.Work(dit=TINY, parameters=1000, samples=SAMPLES, threads=1, device="cpu")


def test_our_program_tells_of_itself_and_then_of_every_step(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(step_ours, "_MATMUL_SIDES", {"cpu": (16,)})
    monkeypatch.setattr("sys.stdin", io.StringIO("\n\n"))
    step_ours.main(work())
    about, *steps = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert about["flops"] > 0
    assert [list(one) for one in steps] == [["step_s"], ["step_s"]]


def test_tokens_are_those_of_samples_without_padding_and_the_better_peer_counts() -> None:
    def said(parameters: float, *seconds: float, **more: float) -> list[dict[str, float]]:
        return [{"parameters": parameters, **more}, {"step_s": 9.0}, {"step_s": 9.0}, *({"step_s": each} for each in seconds)]

    lines = {
        "ours": said(1000, 1.0, 2.0, 3.0, flops=40.0, matmul_flops_per_s=100.0),
        "fast": said(1020, 4.0, 4.0, 4.0), "slow": said(1100, 8.0, 8.0, 8.0),
    }  # fmt: skip
    measured = step._measured(work(), lines, is_quick=False)
    assert work().num_tokens == 3 + 4 + 3 + 1 + 8
    assert measured.ours["tokens_per_s"] == 19 / 2
    assert measured.ours["matmul_fraction"] == 40 / 2 / 100
    assert measured.ratios == {"tokens_vs_diffusers": 2.0}
    assert list(measured.checks.values()) == [False, True]                          # 1100 is too far from 1000


def test_programs_take_turns_and_one_that_ends_is_named(tmp_path: Path) -> None:
    order = tmp_path / "order"
    program = "echo '{\"parameters\": 1}'; while read line; do printf %s >> " + str(order) + "; echo '{\"step_s\": 1}'; done"
    commands = {name: ["bash", "-c", program.replace("%s", name)] for name in ("a", "b")}
    said = step._in_turns(commands, rounds=3)
    assert order.read_text() == "ababab"
    assert [len(lines) for lines in said.values()] == [4, 4]
    with pytest.raises(UserError, match="broken ended before it had taken its steps and said: no such module"):
        step._in_turns({"broken": ["bash", "-c", "echo no such module >&2"]}, rounds=1)
