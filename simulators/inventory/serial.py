"""A serial system: stages in a row, each supplied by the next, the last by a supplier without limits.

    observe   every stage's stock after the last period's demand, and what is due at it when
    order     every stage orders from the stage upstream
    ship      every stage sends what is wanted downstream, as far as its stock at this moment reaches
    receive   what was sent L - 1 periods ago arrives at the stage whose lead time is L
    demand    customers come to stage 1; what is not there waits
    pay       for stock at the stages and on its way from them, and for customers that wait

So a shipment of period t with lead time L is there for the demand of period t + L - 1, and can be sent on in period
t + L: a lead time covers the demand of L periods, as in the model of Clark and Scarf (1960).
"""

import inspect
from collections.abc import Sequence
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np

from sandtable.simulators.arrays import Array, at_most, namespace, positive
from sandtable.simulators.decision_process import DecisionProcess, Step
from sandtable.simulators.inventory.countable import require_countable
from sandtable.simulators.inventory.process import at
from sandtable.simulators.random import fold_in, normal

ORDER_OF_EVENTS = (__doc__ or "").split("\n\n")[1]


class SerialState(NamedTuple):
    """State of a serial system; stage 1, the customers', comes first.

    Attributes:
        key: int64 [*batch].
        episode: int64 [] or [*batch].
        t: int64, [] while all rows are in the same period, else [*batch].
        on_hand: [N, *batch], units at each stage; negative at stage 1: units that customers wait for.
        transit: [N, L - 1, *batch], units due at each stage in this period, in the next, ...; L: longest lead time.
        demand: [H, *batch], units of the whole episode.
    """

    key: Array
    episode: Array
    t: Array
    on_hand: Array
    transit: Array
    demand: Array


class SerialInventory(DecisionProcess):
    """Order at every stage of a serial system; unmet demand waits.

    Demand is normal and independent from period to period; draws below 0 count as 0. The reward is minus the cost: of
    each stage's local holding cost for what it has and what is on its way from it downstream, and of ``shortage`` per
    unit that customers wait for, both at the end of the period. The system of Clark and Scarf (1960, Management Science
    6), with the default numbers of Example 6.1 of Snyder and Shen, Fundamentals of Supply Chain Theory.

    Seen: of each stage, the customers' first, units on hand (negative: waiting customers), then units due in this
    period, in the next, ..., up to the longest lead time L less 1: float [N * L].
    Done: units that each stage orders, float [N], in [0, ``largest_order``]; a stage gets no more than the stage
    upstream has, and what it did not get it must order again.
    An episode is ``horizon`` periods and is truncated there; every stage starts with the mean demand of its lead time.
    """

    streams = {"demand": 0}  # noqa: RUF012

    def __init__(
        self,
        lead_times: Sequence[int] = (1, 1, 2),
        holding: Sequence[float] = (7.0, 4.0, 2.0),
        shortage: float = 37.12,
        mean: float = 5.0,
        deviation: float = 1.0,
        horizon: int = 100,
        dtype: str = "float32",
    ) -> None:
        """Describe the system.

        Args:
            lead_times: Periods, >= 1, one a stage, the customers' stage first.
            holding: Local holding costs, money per unit and period, >= 0, one a stage.
            shortage: Money per unit waiting at the end of a period, >= 0.
            mean: Mean demand a period, >= 0.
            deviation: Standard deviation of demand, >= 0.
            horizon: Periods an episode, >= 1.
            dtype: ``float32`` or ``float64``.
        """
        if len(lead_times) < 1 or len(lead_times) != len(holding):
            raise ValueError("lead_times and holding must have one entry a stage, and at least one stage")
        if any(int(lead_time) != lead_time or lead_time < 1 for lead_time in lead_times):
            raise ValueError(f"lead times must be whole numbers of periods, at least 1, not {list(lead_times)}")
        amounts = [("shortage", shortage), ("mean", mean), ("deviation", deviation)]
        for name, value in [*(("holding", cost) for cost in holding), *amounts]:
            if not (np.isfinite(value) and value >= 0):
                raise ValueError(f"{name} must be finite and not negative, not {value}")
        if horizon < 1:
            raise ValueError(f"horizon must be at least 1 period, not {horizon}")
        if dtype not in ("float32", "float64"):
            raise ValueError(f"dtype must be float32 or float64, not {dtype!r}")
        self.lead_times = tuple(int(lead_time) for lead_time in lead_times)
        self.holding = tuple(float(cost) for cost in holding)
        self.shortage, self.mean, self.deviation = float(shortage), float(mean), float(deviation)
        self.horizon, self.dtype = horizon, dtype
        stages, longest = len(self.lead_times), max(self.lead_times)
        largest_demand = self.mean + 9.0 * self.deviation  # the normal draws of 53 bits stay within 8.3 deviations
        require_countable(largest_demand, dtype, "demand, mean + 9 * deviation,")
        self.largest_order = float(np.ceil(10 * max(self.mean, self.deviation, 1.0)))
        largest = self.largest_order * (horizon + longest) + self.mean * longest
        low = np.zeros((stages, longest))
        low[0, 0] = -largest_demand * horizon
        kind = np.dtype(dtype).type
        self.observation_space = gym.spaces.Box(
            low.ravel().astype(dtype), np.full(stages * longest, largest, dtype), dtype=kind
        )
        self.action_space = gym.spaces.Box(0.0, self.largest_order, (stages,), kind)

    def card(self) -> str:
        """Return the rules of the world, and the order of events in a period."""
        return f"{inspect.cleandoc(type(self).__doc__ or '')}\n\nThe order of events:\n\n{ORDER_OF_EVENTS}\n"

    def reset(self, key: Array, *, episode: Any = 0, **options: Any) -> SerialState:
        """Start an episode a row; see ``DecisionProcess.reset``."""
        if options:
            raise ValueError(f"SerialInventory takes no reset options, not {sorted(options)}")
        xp = namespace(key)
        element = getattr(xp, self.dtype)
        periods = xp.reshape(xp.arange(self.horizon, device=key.device), (-1,) + (1,) * key.ndim)
        draws = normal(fold_in(fold_in(key, episode), self.streams["demand"]), periods)
        demand = xp.astype(positive(self.mean + self.deviation * draws), element)
        nothing = xp.zeros_like(demand[0])
        zero = xp.zeros((), dtype=xp.int64, device=key.device)
        return SerialState(
            key=key,
            episode=zero + episode if isinstance(episode, int) else episode,
            t=zero,
            on_hand=xp.stack([nothing + self.mean * lead_time for lead_time in self.lead_times]),
            transit=xp.zeros(
                (len(self.lead_times), max(self.lead_times) - 1, *key.shape), dtype=element, device=key.device
            ),
            demand=demand,
        )

    def observe(self, state: SerialState) -> Array:
        """Return each stage's stock and what is due at it, [*batch, N * L]."""
        xp = namespace(state.key)
        seen = xp.concat([state.on_hand[:, None], state.transit], axis=1)
        seen = xp.reshape(seen, (-1, *state.key.shape))
        return xp.permute_dims(seen, (*range(1, seen.ndim), 0))

    def step(self, state: SerialState, action: Array) -> Step:
        """Order ``action[..., j]`` units at stage j + 1; see the module for the order of events.

        ``info``: units ``shipped`` by the outside supplier, ``demand``, ``sales``, ``waiting`` customers, ``on_hand``
        of all stages and ``in_transit`` to them at the end, ``holding_cost``, ``shortage_cost`` and ``reward``.
        """
        xp = namespace(state.key)
        stages = len(self.lead_times)

        # order and ship
        wanted = xp.astype(positive(at_most(action, self.largest_order)), state.on_hand.dtype)
        stock = [state.on_hand[j] for j in range(stages)]
        sent = [xp.minimum(wanted[..., j], stock[j + 1]) for j in range(stages - 1)] + [wanted[..., stages - 1]]
        stock = [stock[0]] + [stock[j] - sent[j - 1] for j in range(1, stages)]

        # receive
        nothing = xp.zeros_like(stock[0])
        longest, due = max(self.lead_times), []
        for j in range(stages):
            later = xp.concat([state.transit[j], nothing[None]], axis=0)
            slots = [later[i] + sent[j] if i == self.lead_times[j] - 1 else later[i] for i in range(longest)]
            due.append(xp.stack(slots))
            stock[j] = stock[j] + slots[0]
        transit = xp.stack([slots[1:] for slots in due])

        # demand
        demand = at(state.demand, state.t)
        waited = positive(-state.on_hand[0])
        stock[0] = stock[0] - demand
        waiting = positive(-stock[0])
        on_hand = xp.stack(stock)

        # pay
        on_its_way = xp.sum(transit, axis=1)  # to each stage: charged to the stage upstream
        holding_cost = self.holding[0] * positive(stock[0])
        for j in range(1, stages):
            holding_cost = holding_cost + self.holding[j] * (stock[j] + on_its_way[j - 1])
        shortage_cost = self.shortage * waiting
        reward = -holding_cost - shortage_cost

        t = state.t + 1
        last = xp.zeros(reward.shape, dtype=xp.bool, device=state.key.device) | (t >= self.horizon)
        info = {
            "shipped": sent[-1],
            "demand": demand,
            "sales": demand + waited - waiting,
            "waiting": waiting,
            "on_hand": xp.sum(positive(on_hand), axis=0),
            "in_transit": xp.sum(on_its_way, axis=0),
            "holding_cost": holding_cost,
            "shortage_cost": shortage_cost,
            "reward": reward,
        }
        state = state._replace(t=t, on_hand=on_hand, transit=transit)
        return Step(state, reward, xp.zeros_like(last), last, info)
