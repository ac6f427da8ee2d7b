"""The published isoFLOP minima of Transformers that imitate a NetHack bot, and the sizes among which they were found.

Of every budget, the size with the least held-out loss, its data, that loss (nats an action) and the mean return (game
score) of the same model, with seeds averaged: figures read from the isoFLOP results that accompany arXiv 2307.09423
(version 3, section on NetHack). Compute is C = 6 N D with all parameters counted.
"""

from importlib import resources

import numpy as np

from sandtable.simulators.scaling.runs import Runs
from sandtable.simulators.scaling.runs_file import read_runs

SIZES = (
    *(188_793, 516_729, 1_574_137, 2_639_481, 5_614_201),
    *(10_301_305, 22_190_201, 57_322_617, 105_242_489, 192_626_169),
)
"""Parameters of the ten models that were trained; not every one at every budget."""


def load_nethack_minima() -> Runs:
    """Return the 22 minima as runs, by increasing compute: flops 1e14 to 1e19, parameters, data, loss, returns."""
    with resources.as_file(resources.files("sandtable.simulators.scaling") / "nethack_minima.csv") as path:
        return read_runs(path).runs


def sizes() -> np.ndarray:
    """Return the sizes of the grid, float64 [10]."""
    return np.array(SIZES, float)
