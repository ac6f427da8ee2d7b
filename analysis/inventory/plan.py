"""What a backtest is about, before any policy is tuned: the panel, who may see what, and the worlds to play in."""

from dataclasses import dataclass, fields

import numpy as np

from sandtable.agents.rollout import Trajectory, rollout
from sandtable.analysis.inventory.protocol import Split, split
from sandtable.analysis.inventory.settings import BacktestSettings
from sandtable.simulators.errors import InputError
from sandtable.simulators.inventory.history import SalesHistory
from sandtable.simulators.inventory.panel import Assumptions, Panel, assume
from sandtable.simulators.inventory.process import InventoryState
from sandtable.simulators.inventory.replay import InventoryReplay
from sandtable.simulators.random import make_key

WINDOW = 16  # periods of past demand that policies see


@dataclass(frozen=True)
class Plan:
    """A backtest as it was asked for, checked.

    Attributes:
        settings: What the user decided.
        panel: What is replayed.
        split: Who may see what.
        initial_stock: As the replay takes it.
    """

    settings: BacktestSettings
    panel: Panel
    split: Split
    initial_stock: str | float

    def world(self, first: int, end: int, history: int) -> InventoryReplay:
        """Return the world of periods [first, end), whose policies know the demand moments of [0, history)."""
        return InventoryReplay(
            self.panel, end - first, starts=(first, first), history=history, window=WINDOW,
            initial_stock=self.initial_stock, dtype="float64",
        )  # fmt: skip

    def training(self) -> InventoryReplay:
        """Return the world in which policies are tuned."""
        return self.world(0, self.split.train, self.split.train)

    def validation(self) -> InventoryReplay:
        """Return the world in which the baseline is chosen."""
        return self.world(self.split.train, self.split.validate, self.split.train)

    def test(self) -> InventoryReplay:
        """Return the world in which policies are judged."""
        return self.world(self.split.validate, self.split.periods, self.split.validate)

    def names(self, products: np.ndarray) -> list[str]:
        """Return what messages call some products."""
        return [f"product {self.panel.skus[i]}" for i in products]


def start(world: InventoryReplay, products: np.ndarray) -> InventoryState:
    """Return the state in which some products (columns of the panel) start the one episode of a world of a plan."""
    return world.reset(make_key(products), product=products, start=world.starts[0])


def played(plan: Plan, world: InventoryReplay, policy: object, products: np.ndarray, name: str) -> Trajectory:
    """Run a policy on some products through a world of a plan, [H, M] each."""
    return rollout(world, policy, start(world, products), name=name, rows=plan.names(products))  # type: ignore[arg-type]


def plan_backtest(history: SalesHistory, settings: BacktestSettings) -> Plan:
    """Fill what the history does not tell, split it, and check the settings.

    Raises:
        InputError: The history or a setting cannot be used; the message says what to change.
    """
    if not 0 < settings.discount <= 1:
        raise InputError(f"--discount: {settings.discount} is not in (0, 1]")
    if not 0 < settings.alpha < 1:
        raise InputError(f"--alpha: {settings.alpha} is not in (0, 1)")
    if settings.learn < 0 or settings.seeds < 1:
        raise InputError("--learn must not be negative, and --seeds be at least 1")
    if settings.seed < 0:
        raise InputError(f"--seed: {settings.seed} is negative")
    panel = assume(history, assumptions_of(settings))
    parts = split(panel, settings.test_periods, settings.unseen, settings.seed)
    return Plan(settings, panel, parts, initial_stock_of(settings, history))


def assumptions_of(settings: BacktestSettings) -> Assumptions:
    """Return the assumptions that the settings make about the business, or say which option is wrong."""
    try:
        return Assumptions(**{assumed.name: getattr(settings, assumed.name) for assumed in fields(Assumptions)})
    except InputError as error:
        name, _, reason = str(error).partition(": ")
        raise InputError(f"--{name.replace(' ', '-')}: {reason}") from error


def initial_stock_of(settings: BacktestSettings, history: SalesHistory) -> str | float:
    """Return the initial stock as the replay takes it, or say what is wrong with the setting."""
    wanted, recorded = settings.initial_stock, not np.isnan(history.on_hand).all()
    periods: str | float = wanted
    if wanted == "recorded" and not recorded:
        raise InputError("--initial-stock recorded: the sales file tells no stock in a column on_hand")
    if wanted not in ("base-stock", "recorded"):
        try:
            periods = float(wanted)
        except ValueError:
            periods = np.nan
        if not (np.isfinite(periods) and periods >= 0):
            raise InputError(f"--initial-stock {wanted}: write base-stock, recorded, or a number of periods of demand")
    return "recorded" if recorded else periods
