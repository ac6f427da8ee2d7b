"""Objectives: how the gradient of the expected return is estimated."""

from sandtable.training.objectives.action_distributions import (
    ActionDistribution,
    Categorical,
    Gaussian,
    distribution_for,
)
from sandtable.training.objectives.experience import Log, Logged, Rollouts
from sandtable.training.objectives.full_batch import FullBatch
from sandtable.training.objectives.importance_weighted import ImportanceWeighted
from sandtable.training.objectives.objective import Carry, Metrics, Objective, row_keys
from sandtable.training.objectives.own_examples import OwnExamples
from sandtable.training.objectives.pathwise import Pathwise
from sandtable.training.objectives.penalised import NeuronNorm, Penalised
from sandtable.training.objectives.supervised import Supervised

__all__ = [
    "ActionDistribution",
    "Carry",
    "Categorical",
    "FullBatch",
    "Gaussian",
    "ImportanceWeighted",
    "Log",
    "Logged",
    "Metrics",
    "NeuronNorm",
    "Objective",
    "OwnExamples",
    "Pathwise",
    "Penalised",
    "Rollouts",
    "Supervised",
    "distribution_for",
    "row_keys",
]
