"""How often does the interval of ``paired_bootstrap.bootstrap_total`` cover the truth?

Two policies that are equal in expectation are compared on panels drawn from known laws; the interval of the total
difference should then cover zero in 95 % of the panels. A panel of N products over T periods is

    d[t, i] = size_i * (product_i + exposure_i * shock_t + noise_ti)

with every part of mean zero and independent of the others. The panel is cut into blocks and given to the bootstrap as
the backtest does it.

    python docs/scripts/bootstrap_coverage.py [--runs 2000] [--seed 0]
"""

import argparse
from dataclasses import dataclass

import numpy as np

from sandtable.analysis.paired_bootstrap import bootstrap_total, time_blocks

ALPHA = 0.05


@dataclass(frozen=True)
class Design:
    """A law of panels; every part has mean zero.

    Attributes:
        name: For the table.
        products: N.
        periods: T.
        block: Periods a block.
        product: Standard deviation of a product's lasting difference.
        shock: Standard deviation of the shock that all products share in a period.
        noise: Standard deviation of a product's own noise in a period.
        shock_memory: Autocorrelation of the shocks from one period to the next, in [0, 1).
        noise_memory: The same of the noise.
        degrees: Of freedom of Student's t, from which products and noise come; inf is the normal law.
        size: Log standard deviation of the products' sizes (log-normal, mean square 1); 0 makes all alike.
    """

    name: str
    products: int = 200
    periods: int = 44
    block: int = 5
    product: float = 0.0
    shock: float = 0.0
    noise: float = 1.0
    shock_memory: float = 0.0
    noise_memory: float = 0.0
    degrees: float = np.inf
    size: float = 0.0


DESIGNS = (
    Design("independent noise"),
    Design("products that differ", product=0.5),
    Design("common shocks", product=0.5, shock=0.3),
    Design("common shocks, autocorrelated", product=0.5, shock=0.3, shock_memory=0.5, noise_memory=0.5),
    Design("common shocks only", shock=1.0, noise=0.2),
    Design("few blocks (3)", periods=16, product=0.5, shock=0.3),
    Design("few products (20)", products=20, product=0.5),
    Design("few products, common shocks", products=20, product=0.5, shock=0.3),
    Design("heavy tails (t, 3 d.f.)", product=0.5, degrees=3.0),
    Design("heavy tails and sizes (log sd 1)", product=0.5, shock=0.3, degrees=3.0, size=1.0),
)


def autoregression(generator: np.random.Generator, draws: np.ndarray, memory: float) -> np.ndarray:
    """Return a stationary first-order autoregression of unit variance along the first axis."""
    series = np.empty_like(draws)
    series[0] = draws[0]
    for t in range(1, len(draws)):
        series[t] = memory * series[t - 1] + np.sqrt(1 - memory**2) * draws[t]
    return series


def panel(design: Design, generator: np.random.Generator) -> np.ndarray:
    """Return one panel of differences, [T, N]."""
    shape = (design.periods, design.products)

    def unit(size: tuple[int, ...]) -> np.ndarray:
        if np.isinf(design.degrees):
            return generator.standard_normal(size)
        return generator.standard_t(design.degrees, size) / np.sqrt(design.degrees / (design.degrees - 2))

    size = np.exp(design.size * generator.standard_normal(design.products) - design.size**2)
    exposure = generator.uniform(0.5, 1.5, design.products)
    shock = autoregression(generator, generator.standard_normal((design.periods, 1)), design.shock_memory)
    noise = autoregression(generator, unit(shape), design.noise_memory)
    product = unit((design.products,))
    return size * (design.product * product + design.shock * exposure * shock + design.noise * noise)


def coverage(design: Design, runs: int, seed: int) -> float:
    """Return the share of panels whose interval covers zero."""
    generator = np.random.default_rng(seed)
    covered = 0
    for run in range(runs):
        interval = bootstrap_total(time_blocks(panel(design, generator), design.block), ALPHA, seed=run)
        covered += interval.low <= 0 <= interval.high
    return covered / runs


def main() -> None:
    """Print the coverage of each design, with its standard error."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=2000, help="panels a design")
    parser.add_argument("--seed", type=int, default=0, help="of the panels")
    options = parser.parse_args()
    print(f"{'design':34}{'products':>9}{'blocks':>8}{'coverage':>10}{'s.e.':>7}")
    for design in DESIGNS:
        share = coverage(design, options.runs, options.seed)
        error = np.sqrt(share * (1 - share) / options.runs)
        blocks = max(1, design.periods // design.block)
        print(f"{design.name:34}{design.products:9}{blocks:8}{share:10.1%}{error:7.1%}", flush=True)


if __name__ == "__main__":
    main()
