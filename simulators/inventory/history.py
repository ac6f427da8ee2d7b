"""What is known of past sales, by product and review period: what a file gives, before anything is assumed."""

from dataclasses import dataclass, field, replace

import numpy as np


@dataclass(frozen=True)
class SalesHistory:
    """Sales of N products over T review periods.

    NaN means that the source does not tell; ``panel.assume`` fills it with stated assumptions.

    Attributes:
        source: Where it comes from: a file's name, or the name of the generator.
        skus: Names of the N products, as text.
        starts: datetime64[D] [T], first day of each review period, evenly spaced in the calendar of ``review_period``.
        review_period: A pandas offset alias: ``D``, ``W-MON``, ``MS`` and the like.
        units: float64 [T, N], units sold, >= 0; 0 in a period without a row.
        price: float64 [T, N], selling price per unit, > 0; NaN unknown.
        cost: float64 [T, N], purchase cost per unit, >= 0; NaN unknown.
        in_stock: float64 [T, N], share of the period's observations with stock, in [0, 1]; NaN unknown.
        on_hand: float64 [T, N], stock at the end of the period, >= 0; NaN unknown.
        on_order: float64 [T, N], units ordered and not yet received at the end of the period; NaN unknown.
        lead_time: float64 [N], review periods from order to arrival, >= 0; NaN unknown.
        minimum_order: float64 [N], units; NaN unknown.
        batch_size: float64 [N], units; NaN unknown.
        capacity: float64 [N], most units a period that the supplier delivers; NaN unknown.
        repairs: What was mended while reading, and how often; the key is a sentence fragment.
    """

    source: str
    skus: tuple[str, ...]
    starts: np.ndarray
    review_period: str
    units: np.ndarray
    price: np.ndarray
    cost: np.ndarray
    in_stock: np.ndarray
    on_hand: np.ndarray
    on_order: np.ndarray
    lead_time: np.ndarray
    minimum_order: np.ndarray
    batch_size: np.ndarray
    capacity: np.ndarray
    repairs: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        table, row = (len(self.starts), len(self.skus)), (len(self.skus),)
        for name in ("units", "price", "cost", "in_stock", "on_hand", "on_order"):
            if getattr(self, name).shape != table:
                raise ValueError(f"{name} must have shape {table}, not {getattr(self, name).shape}")
        for name in ("lead_time", "minimum_order", "batch_size", "capacity"):
            if getattr(self, name).shape != row:
                raise ValueError(f"{name} must have shape {row}, not {getattr(self, name).shape}")
        if not (np.isfinite(self.units) & (self.units >= 0)).all():
            raise ValueError("units must be finite and not negative; a period without a row has 0")

    def select(self, products: np.ndarray) -> "SalesHistory":
        """Return the history of some products.

        Args:
            products: Indices or booleans, [N].
        """
        chosen = np.arange(len(self.skus))[products]
        tables = ("units", "price", "cost", "in_stock", "on_hand", "on_order")
        rows = ("lead_time", "minimum_order", "batch_size", "capacity")
        return replace(
            self,
            skus=tuple(self.skus[i] for i in chosen),
            **{name: getattr(self, name)[:, chosen] for name in tables},
            **{name: getattr(self, name)[chosen] for name in rows},
        )
