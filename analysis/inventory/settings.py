"""What a user decides about a backtest. Light to import: the command line builds its help from it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class BacktestSettings:
    """Settings of a backtest. What the sales file gives wins over the assumptions made here.

    Attributes:
        review_period: How often orders are placed, as a pandas offset alias: D, W, 2W, MS ...
        date_format: How dates are written, as in %d/%m/%Y; needed only where it is ambiguous.
        min_sale_days: Leave out products with fewer days on which something was sold.
        lead_time: Review periods from order to arrival.
        margin: Share of the price that is not purchase cost, in [0, 1).
        holding_rate: Yearly cost of holding a unit, as a fraction of its purchase cost.
        shortage_cost: Cost of a lost unit beyond its margin, as a fraction of its price.
        salvage: Worth of a unit left at the end, as a fraction of its purchase cost.
        minimum_order: Least units of an order.
        batch_size: Units that orders are multiples of; 0 for any quantity.
        pay_on: When a purchase is paid: received or ordered.
        unmet: What becomes of demand that cannot be met: lost or backlog.
        discount: Worth of next period's money in today's, in (0, 1].
        initial_stock: Stock at the start, if the file has no column on_hand: base-stock, or periods of mean demand.
        test_periods: Review periods to test on; 0 for 28 % of the history.
        unseen: Share of products that take no part in tuning and training, in [0, 0.9].
        policy: A policy of your own, as module:function (several: separated by commas).
        learn: Updates of DirectBackprop, the policy learned by backpropagation through the simulator; 0 leaves it out.
        seeds: Networks that DirectBackprop trains side by side; the one best in validation is kept.
        sensitivity: Repeat with other margins, lead times and holding rates.
        alpha: One minus the confidence of the intervals.
        seed: Seed of the training and of the resampling.
    """

    review_period: str = "W"
    date_format: str | None = None
    min_sale_days: int = 1
    lead_time: int = 2
    margin: float = 0.4
    holding_rate: float = 0.25
    shortage_cost: float = 0.0
    salvage: float = 1.0
    minimum_order: float = 0.0
    batch_size: float = 1.0
    pay_on: str = "received"
    unmet: str = "lost"
    discount: float = 1.0
    initial_stock: str = "base-stock"
    test_periods: int = 0
    unseen: float = 0.2
    policy: str | None = None
    learn: int = 400
    seeds: int = 2
    sensitivity: bool = True
    alpha: float = 0.05
    seed: int = 0
