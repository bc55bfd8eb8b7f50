"""The three phases of the large autoencoder, as configurations."""

from pathlib import Path

from infra.storage import Workspace
from models.autoencoder import f32
from pipelines.recipes.fit import autoencoder_f32, autoencoder_f32_high, autoencoder_f32_low
from train.config import FitConfig
from train.objectives.autoencoder import HEAD, AutoencoderObjectiveConfig, all_but, middle


def objective(config: FitConfig) -> AutoencoderObjectiveConfig:
    assert isinstance(config.objective, AutoencoderObjectiveConfig)
    return config.objective


def test_phases_follow_each_other_at_their_sizes_and_only_the_last_has_a_critic(tmp_path: Path) -> None:
    configs = [recipe(Workspace(str(tmp_path))) for recipe in (autoencoder_f32_low, autoencoder_f32_high, autoencoder_f32)]
    starts = [objective(config).start for config in configs]
    assert starts[0] is None
    for before, start in zip(configs[:-1], starts[1:], strict=True):
        assert start is not None
        assert start.endswith(f"run-seedbed-fit-{before.name}-first")
    assert [objective(config).size_px for config in configs] == [256, 1024, 256]
    assert [objective(config).adversary is not None for config in configs] == [False, False, True]
    assert all(config.plan.batch_samples % (config.num_workers * config.plan.max_tokens) == 0 for config in configs)


def test_each_phase_moves_its_parts_and_the_critic_begins_alone(tmp_path: Path) -> None:
    workspace, shape = Workspace(str(tmp_path)), f32()
    assert autoencoder_f32_low(workspace).plan.stages[0].frozen == ()
    assert autoencoder_f32_high(workspace).plan.stages[0].frozen == all_but(shape, *middle(shape))
    critic, head = autoencoder_f32(workspace).plan.stages
    assert critic.frozen == all_but(shape)
    assert set(critic.frozen) - set(head.frozen) == {f"autoencoder.{part}" for part in HEAD}
