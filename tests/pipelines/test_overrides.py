from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, Field

from infra.errors import UserError
from pipelines.overrides import apply, leaves


class AdamW(BaseModel, frozen=True, extra="forbid"):
    kind: Literal["adamw"] = "adamw"
    learning_rate: float = Field(gt=0)


class Muon(BaseModel, frozen=True, extra="forbid"):
    kind: Literal["muon"] = "muon"
    learning_rate: float = 0.02


class Config(BaseModel, frozen=True, extra="forbid"):
    name: str
    steps: int = Field(gt=0)
    categories: tuple[str, ...] = ()
    limit: int | None = None
    optim: Annotated[AdamW | Muon, Field(discriminator="kind")]


CONFIG = Config(name="tiny", steps=10, optim=AdamW(learning_rate=1e-3))


def test_leaves_change_and_the_rest_stays():
    changed = apply(CONFIG, ["steps=20", "optim.learning_rate=3e-4", "categories=[food, animals]", "limit=5"])
    assert changed == Config(name="tiny", steps=20, categories=("food", "animals"), limit=5, optim=AdamW(learning_rate=3e-4))
    assert CONFIG.steps == 10


def test_text_stays_text():
    assert apply(CONFIG, ["name=1234"]).name == "1234"
    assert apply(CONFIG, ["name=no"]).name == "no"
    assert apply(CONFIG, ["name=a=b"]).name == "a=b"
    assert apply(CONFIG, ["limit=null"]).limit is None


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("stepz=20", "has no such setting; did you mean 'steps'"),
        ("optim.learnin_rate=1", "did you mean 'optim.learning_rate'"),
        ("learning_rate=1", "did you mean 'optim.learning_rate'"),
        ("steps.more=1", "--set steps.more: Config has no such setting"),
        ("optim.kind=muon", "would change structure"),
        ("optim={kind: muon}", "there is no such kind, but adamw, muon; choose one, or set one of its leaves"),
        ("optim=null", "there is no such kind, but adamw, muon"),
        ("optim=adamw", "setting optim.adamw.learning_rate: Field required"),
        ("steps", "not of the form path=value"),
        ("steps=many", r"setting steps: .*valid integer.* \(got 'many'\)"),
        ("steps=-1", r"setting steps: .*greater than 0 \(got -1\)"),
        ("categories=[food", "cannot read '\\[food' as a YAML value"),
    ],
)
def test_what_cannot_be_set_is_refused_in_one_line(assignment, message):
    with pytest.raises(UserError, match=message) as caught:
        apply(CONFIG, [assignment])
    assert "\n" not in str(caught.value)


def test_leaves_are_all_that_can_be_set():
    assert list(leaves(CONFIG)) == ["name", "steps", "categories", "limit", "optim.learning_rate"]


class Rule(BaseModel, frozen=True, extra="forbid"):
    reason: str
    limit: float


class Ruled(BaseModel, frozen=True, extra="forbid"):
    drop: tuple[Rule, ...]


def test_a_part_is_chosen_by_its_kind_and_carries_nothing_of_the_one_before():
    assert apply(CONFIG, ["optim=muon"]).optim == Muon()
    assert apply(CONFIG, ["optim=muon", "optim.learning_rate=0.1"]).optim == Muon(learning_rate=0.1)
    assert apply(CONFIG, ["optim=muon", "optim=adamw", "optim.learning_rate=0.1"]).optim == AdamW(learning_rate=0.1)


class Steps(BaseModel, frozen=True, extra="forbid"):
    reason: str
    optim: Annotated[AdamW | Muon, Field(discriminator="kind")] | None = None


class Staged(BaseModel, frozen=True, extra="forbid"):
    stages: tuple[Steps, ...]


def test_parts_of_elements_are_chosen_too_and_optional_ones_left_out():
    staged = Staged(stages=(Steps(reason="first", optim=AdamW(learning_rate=1.0)), Steps(reason="last", optim=Muon())))
    changed = apply(staged, ["stages.first.optim=muon", "stages.first.optim.learning_rate=3", "stages.last.optim=null"])
    assert changed.stages == (Steps(reason="first", optim=Muon(learning_rate=3.0)), Steps(reason="last"))


class Optional(BaseModel, frozen=True, extra="forbid"):
    muon: Muon | None = None
    either: Annotated[AdamW | Muon, Field(discriminator="kind")] | None = None


def test_a_part_that_was_left_out_is_there_once_a_leaf_of_it_is_set_or_its_kind_is_chosen():
    assert apply(Optional(), ["muon.learning_rate=0.1"]).muon == Muon(learning_rate=0.1)
    assert apply(Optional(), ["either=muon", "either.learning_rate=0.1"]).either == Muon(learning_rate=0.1)
    assert apply(Optional(muon=Muon()), ["muon=null", "muon.learning_rate=0.1"]).muon == Muon(learning_rate=0.1)
    assert apply(Optional(muon=Muon()), ["muon=null"]).muon is None
    with pytest.raises(UserError, match="Optional has no such setting"):
        apply(Optional(), ["either.learning_rate=0.1"])


def test_rules_in_a_list_are_reached_by_their_reason():
    ruled = Ruled(drop=(Rule(reason="small", limit=1), Rule(reason="dull", limit=2)))
    assert apply(ruled, ["drop.dull.limit=5"]).drop == (Rule(reason="small", limit=1), Rule(reason="dull", limit=5))
    assert list(leaves(ruled)) == ["drop.small.reason", "drop.small.limit", "drop.dull.reason", "drop.dull.limit"]
    with pytest.raises(UserError, match=r"no such setting; did you mean 'drop\.dull\.limit'"):
        apply(ruled, ["drop.dul.limit=5"])
    with pytest.raises(UserError, match="change structure"):
        apply(ruled, ["drop=[]"])
