"""The closed set of objectives: one file, one member of the union and one case each."""

from typing import Annotated

from pydantic import Field

from train.objectives.autoencoder import AutoencoderObjective, AutoencoderObjectiveConfig
from train.objectives.bilingual import Bilingual, BilingualObjectiveConfig
from train.objectives.contract import Objective
from train.objectives.contrastive import Contrastive, ContrastiveObjectiveConfig
from train.objectives.flow import Flow, FlowConfig

ObjectiveConfig = Annotated[
    AutoencoderObjectiveConfig | ContrastiveObjectiveConfig | BilingualObjectiveConfig | FlowConfig, Field(discriminator="kind")
]


def build(config: ObjectiveConfig) -> Objective:
    """The objective of a configuration, with freshly initialised weights."""
    match config:
        case AutoencoderObjectiveConfig():
            return AutoencoderObjective(config)
        case ContrastiveObjectiveConfig():
            return Contrastive(config)
        case BilingualObjectiveConfig():
            return Bilingual(config)
        case FlowConfig():
            return Flow(config)
