"""Who may see what: periods in time order, products held out, and which periods count."""

import hashlib
from dataclasses import dataclass

import numpy as np

from sandtable.agents.rollout import Trajectory
from sandtable.simulators.errors import InputError
from sandtable.simulators.inventory.panel import Panel

LEAST_PERIODS = 4  # of training, and of the test beyond the longest lead time


@dataclass(frozen=True)
class Split:
    """Periods [0, train) teach, [train, validate) choose, [validate, T) judge.

    Attributes:
        train: End of training, exclusive.
        validate: End of validation, exclusive.
        periods: T.
        seen: Columns of the products that take part in tuning and training, int [M].
        unseen: Columns of those held out, int [N - M].
    """

    train: int
    validate: int
    periods: int
    seen: np.ndarray
    unseen: np.ndarray


def split(panel: Panel, test_periods: int = 0, unseen: float = 0.2, seed: int = 0) -> Split:
    """Split a panel.

    The test is the last ``test_periods`` (0: 28 % of T), validation the 15 % before. A product is held out if a hash of
    its name and the seed says so, whatever else is in the file.

    Raises:
        InputError: The history is too short for the lead time, or the test for anything to arrive in it.
    """
    periods = panel.periods
    lead_time = panel.shares.shape[1] - 1
    test = test_periods or round(0.28 * periods)
    validation = max(round(0.15 * periods), lead_time + 1)
    train = periods - test - validation
    if test <= lead_time + LEAST_PERIODS - 1:
        raise InputError(
            f"{test} test periods are too few for a lead time of {lead_time}: at least {lead_time + LEAST_PERIODS} are "
            "needed; raise --test-periods, shorten --lead-time, or give a longer history"
        )
    if train < max(LEAST_PERIODS, lead_time + 1):
        raise InputError(
            f"{periods} review periods leave {max(train, 0)} for training after {test} of test and {validation} of "
            f"validation; lower --test-periods, shorten --review-period, or give a longer history"
        )
    if not 0 <= unseen <= 0.9:
        raise InputError(f"--unseen: {unseen} is not in [0, 0.9]")
    held_out = np.asarray([_unit(f"{seed}:{sku}") < unseen for sku in panel.skus])
    if held_out.all():
        held_out[0] = False
    return Split(train, train + validation, periods, np.flatnonzero(~held_out), np.flatnonzero(held_out))


def _unit(text: str) -> float:
    """Return a number in [0, 1) that depends on the text alone."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big") / 2**48


def scored(panel: Panel, horizon: int) -> np.ndarray:
    """Return which periods of a run count for each product, bool [horizon, N].

    The first order of a run arrives after the shortest lead time of the product; what happens before is decided by the
    initial stock, and equal for all policies. At the other end, orders that arrive after the horizon are not paid (or, if
    payment is on order, are credited in full), so no order counts whose effect is not seen.
    """
    first = (panel.shares > 0).any(axis=0).argmax(axis=0)
    return np.arange(horizon)[:, None] >= first


def discounted_profit(trajectory: Trajectory, counts: np.ndarray, discount: float) -> np.ndarray:
    """Return the scored profit of each period and product, [H, N], in money of the first period."""
    horizon = len(counts)
    return trajectory["reward"] * counts * (discount ** np.arange(horizon))[:, None]
