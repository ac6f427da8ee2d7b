"""One review period of many products: the order of events, in one function.

    observe   the decision maker sees the stock after the last period's sales, what is due when, and the past
    order     the order is placed; the supplier's rules decide what it becomes
    receive   what is due in this period arrives, a share of the new order included if its lead time is 0
    demand    customers come; what cannot be sold is lost, or waits if there is a backlog
    pay       money changes hands, on the stock that is left

So an order with lead time L, placed in period t, can be sold from period t + L on. The exogenous series (demand, price,
cost, arrival shares) do not depend on the orders: the exogenous interactive decision process of arXiv 2210.03137, with
the arrivals of arXiv 2310.17168, where an order of q placed in t brings ``q * share[t, j]`` in period t + j.
"""

from typing import Literal, NamedTuple

from sandtable.simulators.arrays import Array, namespace, positive
from sandtable.simulators.inventory.kernels import period as compiled_period
from sandtable.simulators.inventory.order_rules import OrderRules, place

ORDER_OF_EVENTS = (__doc__ or "").split("\n", 2)[2].strip("\n")


class Stock(NamedTuple):
    """What a decision changes.

    Attributes:
        on_hand: [*batch], units after the last period's sales; negative: units that customers wait for.
        pipeline: [J, *batch], units due in this period, in the next, ...; J is the longest lead time (0: none).
    """

    on_hand: Array
    pipeline: Array


class Period(NamedTuple):
    """What a period brings, whatever is decided. Each broadcasts to [*batch], shares to [J + 1, *batch].

    Attributes:
        demand: Units that customers want, >= 0.
        price: Money a unit sold.
        cost: Money a unit bought, of orders placed or received in this period (see ``Economics.pay_on``).
        shares: Share of this period's order that arrives after 0, 1, ..., J periods.
    """

    demand: Array
    price: Array
    cost: Array
    shares: Array


class Economics(NamedTuple):
    """What the business pays, beyond price and cost.

    Attributes:
        holding_rate: Money per unit in stock at the end of a period, as a fraction of the unit's cost.
        holding: The same in money a unit; both are charged.
        shortage: Money per unit lost, or waiting at the end of a period, beyond the lost margin.
        shortage_rate: The same as a fraction of the unit's price; both are charged.
        salvage: Worth of a unit left at the end of the horizon, as a fraction of its cost.
        pay_on: Whether a unit's cost is paid when it is ``received``, or when it is ``ordered``.
        unmet: Whether unmet demand is ``lost``, or waits (``backlog``).
    """

    holding_rate: float = 0.0
    holding: float = 0.0
    shortage: float = 0.0
    shortage_rate: float = 0.0
    salvage: float = 0.0
    pay_on: Literal["received", "ordered"] = "received"
    unmet: Literal["lost", "backlog"] = "lost"


class Flow(NamedTuple):
    """What happened in a period; each [*batch], units or money.

    Attributes:
        ordered: Units ordered, after the supplier's rules.
        supplied: Units of them that the supplier will deliver, after the yield.
        received: Units that arrived.
        demand: Units wanted.
        sales: Units handed over.
        lost: Units of demand that went unmet for good (0 under backlog).
        on_hand: Units in stock at the end, >= 0.
        waiting: Units that customers wait for at the end (0 under lost sales).
        in_transit: Units on order at the end.
        revenue: price * sales.
        purchases: cost * units received or ordered.
        holding_cost: Of the stock at the end.
        shortage_cost: Of units lost or waiting.
        reward: revenue - purchases - holding_cost - shortage_cost.
    """

    ordered: Array
    supplied: Array
    received: Array
    demand: Array
    sales: Array
    lost: Array
    on_hand: Array
    waiting: Array
    in_transit: Array
    revenue: Array
    purchases: Array
    holding_cost: Array
    shortage_cost: Array
    reward: Array


def advance(stock: Stock, wanted: Array, period: Period, rules: OrderRules, economics: Economics) -> tuple[Stock, Flow]:
    """Play one period; the order of events is the module's.

    Args:
        stock: State at the start of the period.
        wanted: Units that the policy wants to order, [*batch].
        period: What the period brings.
        rules: What the supplier makes of an order.
        economics: What is paid.

    Returns:
        The state at the start of the next period, and the period's flows.
    """
    xp = namespace(stock.on_hand)

    # order
    ordered = place(wanted, rules)
    supplied = ordered if rules.supply_yield is None else ordered * rules.supply_yield
    flows = compiled_period.move(stock, supplied, period, economics)
    if flows is not None:
        return _unpacked(flows, ordered, supplied, period.demand)

    # receive
    nothing = xp.zeros_like(stock.on_hand)
    due = xp.concat([stock.pipeline, nothing[None]], axis=0) + period.shares * supplied
    received, pipeline = due[0], due[1:]

    # demand
    available = stock.on_hand + received
    if economics.unmet == "lost":
        sales = xp.minimum(period.demand, available)
        lost = period.demand - sales
        on_hand = available - sales
        left, waiting, unmet = on_hand, nothing, lost
    else:
        on_hand = available - period.demand
        left, waiting = positive(on_hand), positive(-on_hand)
        sales = period.demand + positive(-stock.on_hand) - waiting
        lost, unmet = nothing, waiting

    # pay
    revenue = period.price * sales
    purchases = period.cost * (received if economics.pay_on == "received" else supplied)
    holding_cost = left * (economics.holding + _fraction(economics.holding_rate, period.cost))
    shortage_cost = unmet * (economics.shortage + _fraction(economics.shortage_rate, period.price))
    return Stock(on_hand, pipeline), Flow(
        ordered=ordered,
        supplied=supplied,
        received=received,
        demand=period.demand,
        sales=sales,
        lost=lost,
        on_hand=left,
        waiting=waiting,
        in_transit=xp.sum(pipeline, axis=0),
        revenue=revenue,
        purchases=purchases,
        holding_cost=holding_cost,
        shortage_cost=shortage_cost,
        reward=revenue - purchases - holding_cost - shortage_cost,
    )


def _unpacked(flows: Array, ordered: Array, supplied: Array, demand: Array) -> tuple[Stock, Flow]:
    """Return the rows that ``kernels.period.move`` found under their names."""
    received, sales, lost, on_hand, waiting, in_transit, revenue, purchases, holding, shortage, reward = flows[:11]
    flow = Flow(
        ordered,
        supplied,
        received,
        demand,
        sales,
        lost,
        on_hand,
        waiting,
        in_transit,
        revenue,
        purchases,
        holding,
        shortage,
        reward,
    )
    return Stock(on_hand, flows[11:]), flow


def _fraction(rate: float, money: Array) -> Array | float:
    """Return ``rate * money``, without the work where the rate is 0."""
    return rate * money if rate else 0.0


def salvage(stock: Stock, cost: Array, economics: Economics) -> Array:
    """Return the worth of what is left at the end of the horizon, [*batch].

    Units in stock are worth ``salvage * cost``. Units in transit were paid only if payment is on order; then they are
    worth their cost, so that the last orders, which cannot be sold within the horizon, are not scored.
    """
    xp = namespace(stock.on_hand)
    worth = economics.salvage * cost * positive(stock.on_hand)
    if economics.pay_on == "ordered":
        worth = worth + cost * xp.sum(stock.pipeline, axis=0)
    return worth


def inventory_position(stock: Stock) -> Array:
    """Return on hand plus on order, less what customers wait for, [*batch]."""
    return stock.on_hand + namespace(stock.on_hand).sum(stock.pipeline, axis=0)


def fixed_lead_time(lead_time: int, longest: int | None = None) -> tuple[float, ...]:
    """Return the shares of a lead time that is always the same: all arrives after ``lead_time`` periods.

    Args:
        lead_time: Periods, >= 0.
        longest: Longest lead time in the same array, to which the shares are padded.
    """
    length = (lead_time if longest is None else longest) + 1
    return tuple(1.0 if lag == lead_time else 0.0 for lag in range(length))
