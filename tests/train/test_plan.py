"""The plan: pure, exact, independent of workers."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.tasks import TASKS, Task
from models.cost import PER_SAMPLE, TRAINING_PASSES, Cost
from train.agenda import Agenda, RowLists, SampleRows
from train.plan import EmptyTask, Pick, Plan, PlanConfig, Sizes, StageConfig, StepPlan, Tokens, draw_key

TASK_OF = ["t2i"] * 7 + ["edit"] * 5
NOISY = [4, 16, 4, 16, 4, 16, 4, 4, 16, 4, 16, 4]
COST = Cost(per_clean_token=1.0, per_noisy_token=2.0, per_pair=0.01, per_clean_pair=0.01)
HALVES: dict[Task, float] = {"t2i": 0.5, "edit": 0.5}


def sizes(*, weights: list[float] | None = None) -> Sizes:
    return Sizes(
        tasks=np.array([TASKS.index(task) for task in TASK_OF], dtype=np.int8), task_names=TASKS,
        weights=np.array(weights or [1.0] * 12, dtype=np.float32),
        clean_tokens=np.array([3] * 7 + [7] * 5, dtype=np.int32), noisy_tokens=np.array(NOISY, dtype=np.int32),
    )  # fmt: skip


def config(*stages: StageConfig, num_slots: int = 2, seed: int = 0, max_tokens: int = 40, context_slots: int = 1) -> PlanConfig:
    return PlanConfig(
        seed=seed, batch_samples=6, num_slots=num_slots, max_tokens=max_tokens, context_slots=context_slots,
        clump_samples=2, window_clumps=2, stages=stages or (StageConfig(name="all", num_steps=1000, task_shares=HALVES),),
    )  # fmt: skip


def plan(*stages: StageConfig, weights: list[float] | None = None, **settings: int) -> Plan:
    return Plan(config(*stages, **settings), sizes(weights=weights), cost=COST)


def picks(step: StepPlan) -> list[Pick]:
    return [pick for packs in step.slots for pack in packs for pick in pack] + [shared.pick for shared in step.shared]


def many(num: int, seed: int) -> Sizes:
    """Sizes of samples as various as pictures of several resolutions with references."""
    draws = np.random.default_rng(seed)
    return Sizes(
        tasks=draws.integers(0, 2, num, dtype=np.int8), task_names=TASKS, weights=np.ones(num, dtype=np.float32),
        clean_tokens=draws.integers(5, 3000, num, dtype=np.int32), noisy_tokens=draws.choice([256, 1024, 4096], num),
    )  # fmt: skip


def test_a_step_is_the_same_whenever_and_by_whomever_it_is_asked_for() -> None:
    first = plan()
    later = [first.step(step) for step in (5, 3, 5)]
    assert later[0] == later[2] == plan().step(5)
    assert picks(plan(seed=1).step(5)) != picks(later[0])


def test_a_stage_goes_by_the_sizes_of_its_own_latents() -> None:
    small = sizes()
    large = Tokens(small.clean_tokens * 4, small.noisy_tokens * 4)
    both = small._replace(latents="latent_512", others={"latent_1k": large})
    first = StageConfig(name="512", num_steps=3, task_shares=HALVES, latents="latent_512")
    second = StageConfig(name="1k", num_steps=3, task_shares=HALVES, latents="latent_1k")
    planned = Plan(config(first, second, max_tokens=400), both, cost=COST)
    assert planned.config.latents == ("latent_512", "latent_1k")
    for step, factor in ((2, 1), (3, 4)):
        drawn = planned.step(step)
        assert drawn.noisy_tokens == factor * sum(NOISY[pick.sample] for pick in picks(drawn))
        assert np.array_equal(planned.sizes_at(step).noisy_tokens, factor * small.noisy_tokens)
    longest = 4 * max(NOISY)
    tier = second.model_copy(update={"target_tokens": (longest, longest), "task_shares": {TASK_OF[NOISY.index(max(NOISY))]: 1.0}})
    only = Plan(config(tier, max_tokens=400), both, cost=COST)
    assert {NOISY[pick.sample] for pick in picks(only.step(0))} == {max(NOISY)}
    assert Plan(config(tier, max_tokens=4), both, cost=COST).share_over_cap == 1.0


def test_every_sample_comes_once_per_epoch() -> None:
    planned = plan()
    edits = [pick for step in range(5) for pick in picks(planned.step(step)) if TASK_OF[pick.sample] == "edit"]
    for epoch in range(3):
        assert Counter(pick.sample for pick in edits if pick.epoch == epoch) == Counter(range(7, 12))


@pytest.mark.parametrize("world", [1, 2, 3, 4])
@given(seed=st.integers(0, 99), step=st.integers(0, 10**6 - 1))
@settings(max_examples=10, deadline=None)
def test_any_number_of_workers_trains_on_the_same_global_batch(world: int, seed: int, step: int) -> None:
    def planned() -> Plan:
        stage = StageConfig(name="all", num_steps=10**6, task_shares=HALVES)
        return Plan(config(stage, seed=seed, num_slots=12), sizes(), cost=COST)

    numbers, none = np.arange(12), np.zeros(12, dtype=np.int64)
    rows = SampleRows(order=numbers, targets=numbers, references=RowLists(none[:0], none), further=RowLists(none[:0], none))
    agendas = [Agenda(planned(), rows, rank=rank, num_workers=world) for rank in range(world)]
    trained = Counter(pack.picks for agenda in agendas for pack in agenda.of(step).packs)
    assert trained == Counter(pack for packs in planned().step(step).slots for pack in packs)
    assert sum(len(pack) for pack in trained.elements()) == 6


def test_slots_divide_the_same_batch_whatever_their_number() -> None:
    for step in range(4):
        assert Counter(picks(plan(num_slots=1).step(step))) == Counter(picks(plan(num_slots=3).step(step)))


@given(seed=st.integers(0, 10**6), num_slots=st.sampled_from([4, 8]), context_slots=st.sampled_from([1, 4]))
@settings(max_examples=20, deadline=None)
def test_slots_carry_nearly_equal_operations(seed: int, num_slots: int, context_slots: int) -> None:
    stage = StageConfig(name="all", num_steps=3, task_shares=HALVES)
    planning = PlanConfig(
        seed=seed,
        batch_samples=40 * num_slots,
        num_slots=num_slots,
        stages=(stage,),
        max_tokens=6000,
        context_slots=context_slots,
    )
    various = many(2000, seed)
    step = Plan(planning, various, cost=COST).step(2)
    flops = TRAINING_PASSES * COST.of(various.clean_tokens, various.noisy_tokens)
    loads = np.array([sum(flops[pick.sample] for pack in packs for pick in pack) for packs in step.slots])
    for pick, slots in step.shared:
        loads[list(slots)] += flops[pick.sample] / len(slots)
    assert loads.sum() == pytest.approx(step.flops)
    assert loads.mean() / loads.max() > 0.98


def test_a_step_says_its_tokens_and_operations() -> None:
    step = plan().step(0)
    samples = [pick.sample for pick in picks(step)]
    tokens = [(7 if sample > 6 else 3, NOISY[sample]) for sample in samples]
    assert step.noisy_tokens == sum(noisy for _, noisy in tokens)
    assert step.tokens == sum(map(sum, tokens))
    forward = sum(clean + 2 * noisy + 0.01 * (clean * clean + noisy * (clean + noisy)) for clean, noisy in tokens)
    assert step.flops == pytest.approx(3 * forward)


def test_packs_keep_to_the_cap_and_longer_samples_are_shared() -> None:
    planned = plan(max_tokens=20, context_slots=2, num_slots=4)
    for step in map(planned.step, range(10)):
        packs = [pack for packs in step.slots for pack in packs]
        assert all(sum((7 if pick.sample > 6 else 3) + NOISY[pick.sample] for pick in pack) <= 20 for pack in packs)
        assert {shared.pick.sample for shared in step.shared} <= {8, 10}
    assert planned.share_over_cap == pytest.approx(2 / 12)


def test_a_sample_above_the_cap_is_a_pack_by_itself_where_slots_share_nothing() -> None:
    step = plan(max_tokens=20).step(0)
    assert not step.shared
    for packs in step.slots:
        for pack in packs:
            assert len(pack) == 1 or not {8, 10} & {pick.sample for pick in pack}


def test_stages_follow_each_other_each_with_walks_of_its_own() -> None:
    first = StageConfig(name="first", num_steps=2, task_shares={"t2i": 1.0})
    second = StageConfig(name="second", num_steps=3, task_shares={"edit": 1.0}, rate=0.1, frozen=("embed",))
    planned = plan(first, second)
    assert planned.config.num_steps == 5
    assert [planned.config.stage_at(step).name for step in range(5)] == ["first"] * 2 + ["second"] * 3
    tasks = [{TASK_OF[pick.sample] for pick in picks(planned.step(step))} for step in range(5)]
    assert tasks == [{"t2i"}] * 2 + [{"edit"}] * 3
    assert {pick.epoch for pick in picks(planned.step(2))} == {0, 1}  # six edits of five, from the beginning


@pytest.mark.parametrize("step", [-1, 5])
def test_a_step_outside_the_plan_is_refused(step: int) -> None:
    with pytest.raises(ValueError, match=f"step {step} is not of this plan, whose stages have 5 steps"):
        plan(StageConfig(name="only", num_steps=5, task_shares=HALVES)).step(step)


def test_a_stage_draws_from_its_tier_alone() -> None:
    large = StageConfig(name="large", num_steps=4, task_shares=HALVES, target_tokens=(5, 16))
    planned = plan(large)
    seen = {pick.sample for step in range(4) for pick in picks(planned.step(step))}
    assert seen == {1, 3, 5, 8, 10}


def test_a_sample_without_weight_is_never_drawn() -> None:
    planned = plan(weights=[0.0, 2.0, *[1.0] * 10])
    drawn = [pick for step in range(140) for pick in picks(planned.step(step))]
    seen = Counter(pick.sample for pick in drawn if pick.epoch < 60 and pick.sample < 7)
    assert seen[0] == 0
    assert seen[1] == 2 * seen[3] == 120


def test_a_task_without_samples_is_refused_by_name() -> None:
    stage = StageConfig(name="late", num_steps=1, task_shares={"t2i": 0.5, "compose": 0.5})
    with pytest.raises(EmptyTask, match="stage 'late' of the plan wants samples of \\['compose'\\], the selection has none"):
        plan(stage)


def test_a_tier_without_samples_is_refused_with_its_limits() -> None:
    stage = StageConfig(name="late", num_steps=1, task_shares=HALVES, target_tokens=(20, 90))
    with pytest.raises(EmptyTask, match="of 20 to 90 noisy tokens"):
        plan(stage)


def test_shares_must_add_up() -> None:
    with pytest.raises(ValueError, match="add up to 1"):
        StageConfig(name="all", num_steps=1, task_shares={"t2i": 0.5})


def test_a_share_too_small_for_the_batch_is_refused() -> None:
    with pytest.raises(ValueError, match="gives \\['edit'\\] a share of less than one of 6 samples"):
        config(StageConfig(name="all", num_steps=1, task_shares={"t2i": 0.95, "edit": 0.05}))


def test_a_tier_the_wrong_way_round_is_refused() -> None:
    with pytest.raises(ValueError, match="must be \\(fewest, most\\)"):
        StageConfig(name="all", num_steps=1, task_shares=HALVES, target_tokens=(9, 3))


def test_stages_of_one_name_are_refused() -> None:
    stage = StageConfig(name="all", num_steps=1, task_shares=HALVES)
    with pytest.raises(ValueError, match="names of their own"):
        config(stage, stage)


def test_groups_must_divide_the_slots() -> None:
    with pytest.raises(ValueError, match="num_slots=3 must be a multiple of context_slots=2"):
        config(num_slots=3, context_slots=2)


def test_objectives_that_count_pictures_are_balanced_by_number() -> None:
    pictures = sizes()._replace(clean_tokens=np.zeros(12, dtype=np.int32), noisy_tokens=np.ones(12, dtype=np.int32))
    step = Plan(config(num_slots=3), pictures, cost=PER_SAMPLE).step(0)
    assert [sum(len(pack) for pack in packs) for packs in step.slots] == [2, 2, 2]
    assert step.noisy_tokens == step.tokens == 6


def test_draw_keys_differ_by_each_of_their_parts() -> None:
    keys = {
        draw_key(seed, epoch=epoch, sample_id=sample, step=step)
        for seed in (0, 1)
        for epoch in (0, 1)
        for sample in "ab"
        for step in (0, 1)
    }
    assert len(keys) == 16
    assert all(0 <= key < 2**63 for key in keys)
