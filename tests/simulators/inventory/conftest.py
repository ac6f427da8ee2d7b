from dataclasses import replace

import numpy as np
import pytest

from sandtable.simulators.errors import InputError
from sandtable.simulators.inventory.order_rules import OrderRules
from sandtable.simulators.inventory.panel import assume
from sandtable.simulators.inventory.sales_file import read_sales
from sandtable.simulators.inventory.synthetic_sales import synthetic_sales


@pytest.fixture
def sales(tmp_path):
    """Write text (or bytes) to a file, and read it."""

    def write_and_read(content, name="sales.csv", **options):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_sales(path, **options)

    return write_and_read


@pytest.fixture
def refusal(sales, tmp_path):
    """Return the message with which a file is refused, the folder cut off; it is one line."""

    def refuse(content, name="sales.csv", **options):
        with pytest.raises(InputError) as caught:
            sales(content, name, **options)
        message = str(caught.value)
        assert "\n" not in message
        return message.replace(f"{tmp_path}/", "")

    return refuse


@pytest.fixture(scope="session")
def panel():
    """A panel of 9 products over 40 weeks with the rules of its suppliers."""
    return assume(synthetic_sales(products=9, periods=40, seed=3))


@pytest.fixture(scope="session")
def smooth_panel(panel):
    """The panel with any real quantity for an order, and arrivals that are spread over four periods."""
    shares = np.random.default_rng(0).dirichlet(np.ones(4), (panel.periods, panel.products))
    unruly = replace(panel, rules=OrderRules(supply_yield=np.linspace(0.8, 1.1, panel.products)))
    return unruly.with_shares(shares.transpose(0, 2, 1))
