"""How much of LSTD's answer is lost to float32, and how much to the squared condition number of moments?

Features are 256 random Fourier features of 4 normal numbers that shrink on the way; the reward is the sine of the first
and noise. Told are condition numbers and the largest difference of a predicted value from that of float64 and LU.

    python docs/scripts/rounding_of_moments.py [--rows 50000] [--seed 0]
"""

import argparse
import warnings
from dataclasses import replace

import numpy as np

from sandtable.estimators.ope.linear.lstd import LSTD
from sandtable.estimators.ope.moments.accumulate import moments_of_log
from sandtable.simulators.ope.logged_steps import LoggedSteps

DISCOUNT, COUNT = 0.9, 256


def fourier_log(rows: int, seed: int) -> LoggedSteps:
    """Return one long episode of random Fourier features."""
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(rows, 4))
    after = 0.9 * x + 0.3 * generator.normal(size=x.shape)
    frequency, phase = generator.normal(size=(4, COUNT)) / 2, generator.uniform(0, 2 * np.pi, COUNT)
    scale, zero = (2 / COUNT) ** 0.5, np.zeros(rows, dtype=np.int64)
    return LoggedSteps(
        actions=1,
        episode=zero,
        step=np.arange(rows),
        action=zero,
        reward=np.sin(x[:, 0]) + 0.1 * generator.normal(size=rows),
        terminated=zero > 0,
        truncated=np.arange(rows) == rows - 1,
        features=scale * np.cos(x @ frequency + phase),
        next_features=scale * np.cos(after @ frequency + phase),
    )


def main() -> None:
    """Print a row of the table for each ridge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--seed", type=int, default=0)
    settings = parser.parse_args()
    log = fourier_log(settings.rows, settings.seed)
    phi, following, reward = (array.astype(np.float32) for array in (log.features, log.next_features, log.reward))
    exact = moments_of_log(log)
    inputs = moments_of_log(log.with_(features=phi, next_features=following, reward=reward))
    sums = replace(
        exact,
        covariance=(phi.T @ phi).astype(np.float64),
        cross_covariance=(phi.T @ following).astype(np.float64),
        reward_moment=(phi.T @ reward).astype(np.float64),
    )
    warnings.simplefilter("ignore")  # of rank, where there is no ridge
    print(f"{'ridge':>8}{'largest':>10}{'cond G':>10}{'cond QR':>10}{'sums 32':>10}{'inputs 32':>10}{'QR':>10}")
    for ridge in (1e-4, 1e-6, 1e-8, 0.0):
        best, by_rows = LSTD(DISCOUNT, ridge).fit(exact), LSTD(DISCOUNT, ridge, "qr").fit(log)
        values = best.predict(log.features)
        others = LSTD(DISCOUNT, ridge).fit(sums), LSTD(DISCOUNT, ridge).fit(inputs), by_rows
        lost = [np.abs(one.predict(log.features) - values).max() for one in others]
        numbers = [np.abs(values).max(), best.condition, by_rows.condition, *lost]
        print(f"{ridge:8.0e}" + "".join(f"{number:10.2g}" for number in numbers))


if __name__ == "__main__":
    main()
