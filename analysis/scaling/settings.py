"""What a user decides about the fit of scaling laws. Light to import: the command line builds its help from it."""

from dataclasses import dataclass
from typing import Literal

Law = Literal["auto", "approach1", "approach2", "approach3", "minima", "compute", "return"]
Response = Literal["loss", "return", "parameters", "data"]


@dataclass(frozen=True)
class ScalingLawSettings:
    """Settings of a fit of scaling laws.

    Attributes:
        law: Which law; auto fits all that the columns allow, and says what it left out and why.
        response: What the law compute explains by flops: loss, return, parameters or data.
        flops_factor: k of C = k N D, for the one of parameters, data and flops that the file does not give.
        unit: Factors that bring columns to counts, as COLUMN=FACTOR, for example tokens=1e9.
        loss_unit: Of loss and loss_se: nats, or bits.
        objective: Of approach3: huber-log, ls-log (squares of ln L) or ls (squares of L).
        delta: Threshold of Huber's loss.
        min_flops: Runs with less compute are left out.
        max_flops: Runs with more compute are left out.
        holdout_above: Runs with more compute are held out, predicted by laws fitted to the others, and scored.
        predict: Budgets, in FLOP, for which optimal sizes and losses are told; by default the largest and ten times it.
        interval: profile (approach3 by least squares), bca (approach3), percentile, hc3, or t; by default profile for
            least squares, bca for Huber's loss, and t for every other law.
        level: Confidence of the intervals.
        bootstrap: Resamples of bca and percentile.
        cluster: Column whose values mark runs that are resampled together.
        seed: Of resampling.
    """

    law: Law = "auto"
    response: Response | None = None
    flops_factor: float = 6.0
    unit: tuple[str, ...] = ()
    loss_unit: Literal["nats", "bits"] = "nats"
    objective: Literal["huber-log", "ls-log", "ls"] = "huber-log"
    delta: float = 1e-3
    min_flops: float | None = None
    max_flops: float | None = None
    holdout_above: float | None = None
    predict: tuple[float, ...] = ()
    interval: Literal["profile", "bca", "percentile", "hc3", "t"] | None = None
    level: float = 0.95
    bootstrap: int = 1000
    cluster: str | None = None
    seed: int = 0
