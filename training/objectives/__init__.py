"""Objectives: how the gradient of the expected return is estimated."""

from sandtable.training.objectives.objective import Carry, Metrics, Objective, row_keys
from sandtable.training.objectives.pathwise import Pathwise
from sandtable.training.objectives.supervised import Supervised

__all__ = ["Carry", "Metrics", "Objective", "Pathwise", "Supervised", "row_keys"]
