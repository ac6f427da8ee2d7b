"""The one loop that trains everything: objectives, networks of many replicas, optimisers, checkpoints and metrics."""

from sandtable.training.checkpoint import Checkpoints
from sandtable.training.initialisation import PYTORCH, Initialisation
from sandtable.training.keys import replica_keys
from sandtable.training.loop import Training, fit
from sandtable.training.metrics import History, JsonLines, MetricsSink
from sandtable.training.networks import MLP, Replicated, ReplicatedLinear, Single
from sandtable.training.objectives import (
    Categorical,
    FullBatch,
    Gaussian,
    ImportanceWeighted,
    Log,
    Logged,
    NeuronNorm,
    Objective,
    OwnExamples,
    Pathwise,
    Penalised,
    Rollouts,
    Supervised,
    distribution_for,
)
from sandtable.training.optimizers import SGD, AdamW, Optimizer
from sandtable.training.progress import bar
from sandtable.training.record import Diverged
from sandtable.training.schedules import constant, cosine, doubling, linear
from sandtable.training.stacked import Stacked
from sandtable.training.validation import Validation

__all__ = [
    "MLP",
    "PYTORCH",
    "SGD",
    "AdamW",
    "Categorical",
    "Checkpoints",
    "Diverged",
    "FullBatch",
    "Gaussian",
    "History",
    "ImportanceWeighted",
    "Initialisation",
    "JsonLines",
    "Log",
    "Logged",
    "MetricsSink",
    "NeuronNorm",
    "Objective",
    "Optimizer",
    "OwnExamples",
    "Pathwise",
    "Penalised",
    "Replicated",
    "ReplicatedLinear",
    "Rollouts",
    "Single",
    "Stacked",
    "Supervised",
    "Training",
    "Validation",
    "bar",
    "constant",
    "cosine",
    "distribution_for",
    "doubling",
    "fit",
    "linear",
    "replica_keys",
]
