"""How often the intervals of ``sandtable play`` hold the truth; the numbers of docs/play.md.

Run it as ``python docs/scripts/play_coverage.py [GAMES.csv]``: with a table of games, also for samples of its scores.
"""

import csv
import sys

import numpy as np
from scipy import stats

from sandtable.analysis.play.statistics import mean_interval, median_interval

SAMPLES, SIZES = 10_000, (10, 30, 100, 200)

laws = {
    "normal": (lambda rng, shape: rng.normal(size=shape), 0.0, 0.0),
    "exponential": (lambda rng, shape: rng.exponential(size=shape), 1.0, np.log(2)),
    "log-normal": (lambda rng, shape: rng.lognormal(size=shape), np.exp(0.5), 1.0),
}
for file in sys.argv[1:]:
    with open(file, encoding="utf-8") as table:
        scores = np.array([float(row["score"]) for row in csv.DictReader(table) if row["score"]])
    laws[file] = (lambda rng, shape, scores=scores: rng.choice(scores, shape), scores.mean(), np.median(scores))

for name, (draw, mean, median) in laws.items():
    for size in SIZES:
        samples = draw(np.random.default_rng(size), (SAMPLES, size))
        means = [low <= mean <= high for low, high in (mean_interval(one, 0.05) for one in samples)]
        medians = [low <= median <= high for low, high in (median_interval(one, 0.05) for one in samples)]
        reach = stats.t.ppf(0.975, size - 1) * samples.std(axis=1, ddof=1) / np.sqrt(size)
        plain = np.abs(samples.mean(axis=1) - mean) <= reach
        shares = [f"{np.mean(held):.1%}" for held in (means, plain, medians)]
        print(f"{name}, {size} games: mean {shares[0]} (Student's t {shares[1]}), median {shares[2]}")
