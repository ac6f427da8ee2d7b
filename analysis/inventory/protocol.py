"""Who may see what: periods in time order, products held out, and which periods count."""

import hashlib
from dataclasses import dataclass

import numpy as np

from sandtable.agents.rollout import Trajectory
from sandtable.simulators.errors import InputError
from sandtable.simulators.inventory.panel import Panel
from sandtable.simulators.inventory.world import Economics

LEAST_PERIODS = 4  # of training, and of validation and test beyond the longest lead time


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

    The test is the last ``test_periods`` (0: 28 % of T), validation the 15 % before, and longer for long lead times. A
    product is held out if a hash of its name and the seed says so, whatever else is in the file.

    Raises:
        InputError: The history is too short for the lead time, or the test for anything to arrive in it.
    """
    periods = panel.periods
    lead_time = panel.shares.shape[1] - 1
    test = test_periods or round(0.28 * periods)
    validation = max(round(0.15 * periods), lead_time + LEAST_PERIODS)
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
    initial stock, equal for all policies, and not counted. The last orders arrive after the horizon; they are not paid
    within it (or, if payment is on order, are credited in full at its end), so no order counts whose effect is not
    seen. With payment on order the first orders' cost belongs to the account, so every period counts.
    """
    if panel.economics.pay_on == "ordered":
        return np.ones((horizon, panel.products), dtype=bool)
    first = (panel.shares > 0).any(axis=0).argmax(axis=0)
    return np.arange(horizon)[:, None] >= first


def accrued_profit(trajectory: Trajectory, cost: np.ndarray, economics: Economics, discount: float) -> np.ndarray:
    """Return the profit of each period and product on an accrual basis, [H, N], in money of the first period.

    The period's cash (revenue - purchases - holding - shortage) plus the change in the worth of the stock, so that
    buying stock is no loss and selling it off no gain; the sum over periods is that of the rewards less the worth of
    the initial stock. Worth is ``salvage * cost`` a unit, as at the end of the horizon; units on order count if they
    were paid.

    Args:
        trajectory: A run, [H, N] each.
        cost: Cost a unit, [H, N].
        economics: What is paid.
        discount: Worth of next period's money, in (0, 1].
    """
    weight = (discount ** np.arange(len(cost)))[:, None]
    cash = trajectory["revenue"] - trajectory["purchases"] - trajectory["holding_cost"] - trajectory["shortage_cost"]
    before = trajectory["on_hand"][0] - trajectory["received"][0] + trajectory["sales"][0]
    worth = economics.salvage * cost * trajectory["on_hand"]
    initial = economics.salvage * cost[0] * before
    if economics.pay_on == "ordered":
        supplied = trajectory["in_transit"][0] + trajectory["received"][0] - trajectory["supplied"][0]
        worth = worth + cost * trajectory["in_transit"]
        initial = initial + cost[0] * supplied
    worth = weight * worth
    return weight * cash + worth - np.concatenate([initial[None], worth[:-1]])
