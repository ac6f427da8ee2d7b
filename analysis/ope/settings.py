"""What a user decides about an evaluation. Light to import: the command line builds its help from it."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class EvaluateSettings:
    """Settings of an off-policy evaluation.

    Attributes:
        discount: Worth of the next step's reward in this step's, in [0, 1].
        target: The policy to evaluate: columns (of the log), uniform, module:function, or sb3:ALGO:FILE.
        features: What values are linear in: columns (of the log), tabular, rff:COUNT:BANDWIDTH, or module:function. By
            default the log's columns if it has them, else tabular.
        value: Of what: q, pairs of state and action, or v, states, which needs both policies' probabilities.
        ridge: Added to the diagonal of the mean covariance of the features.
        iterations: Of FQI and of expected TD; by default their limits are taken.
        alpha: One minus the confidence of the intervals.
        bootstrap: Resamples of the episodes.
        behaviour: Where the behaviour policy's probabilities come from: logged, or estimate, cross-fitted.
        unfinished: What the end of an episode without a mark is taken for: truncated or terminated.
        fqe_steps: Of training the networks of FQE; 0 leaves them out.
        trust: Load a policy file although that runs whatever code it holds.
        seed: Of resampling, folds, random features and networks.
    """

    discount: float
    target: str = "columns"
    features: str | None = None
    value: Literal["q", "v"] = "q"
    ridge: float = 0.0
    iterations: int | None = None
    alpha: float = 0.05
    bootstrap: int = 200
    behaviour: Literal["logged", "estimate"] = "logged"
    unfinished: Literal["truncated", "terminated"] | None = None
    fqe_steps: int = 5000
    trust: bool = False
    seed: int = 0
