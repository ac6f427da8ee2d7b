"""Linear off-policy evaluation from a file larger than what one would load, and tables, beside plain numpy and pandas.

The file is an npz of float64 features and next features, written to a temporary folder and removed. Ours is the whole
answer: covariance, cross-covariance and reward moment, LSTD, FQI(1) to FQI(200), the diagnosis, and the value with its
HC0 interval, which takes a second pass. The alternative accumulates the same three moments from the same file, chunk by
chunk, and nothing else. The limit is the rate of a product of large matrices: 3 d^2 operations a row, as a product with
its own transpose needs half of the operations.
"""

import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sandtable.benchmarks.timing import matrix_product_rate, rates_in_turns, timing
from sandtable.estimators.ope.linear.fqi import FQI
from sandtable.estimators.ope.linear.intervals import hc0
from sandtable.estimators.ope.linear.lstd import LSTD
from sandtable.estimators.ope.moments.accumulate import moments_of_log
from sandtable.estimators.ope.moments.sparse_moments import moments_of_table
from sandtable.simulators.ope.diagnostics import diagnose
from sandtable.simulators.ope.mapped_log import map_log, map_npz

ROWS, FEATURES, PAIRS = 1_000_000, 256, 256
DISCOUNT, ITERATIONS = 0.9, 200
WRITTEN = 2**16
"""Rows of features that are drawn; a longer file repeats them."""
CHUNK = 8_192
"""Rows that the alternative takes at a time; between 1,024 and 16,384 its rate is the same."""


def benchmark(quick: bool = False) -> list[dict[str, Any]]:
    """Return the rows of the evaluation of a file, its first pass alone, and the counting of a table."""
    rows = 20_000 if quick else ROWS
    limit = matrix_product_rate("float64", quick) / (3 * FEATURES**2)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.npz"
        write_log(path, rows, FEATURES)
        work = (float(rows), float(rows))
        rates = rates_in_turns(lambda: evaluated(path), lambda: accumulated(path), work, quick)
    case = f"moments, LSTD, FQI(1..200), diagnosis, HC0; npz file of {rows:,} rows, {FEATURES} features, float64"
    whole = timing("ope", case, "transitions/s", rates, "chunked numpy, three moments alone", 0.8, limit)
    return [whole, table_row(quick)]


def evaluated(path: Path) -> tuple[Any, ...]:
    """Return all that is told of a file of features."""
    log = map_log(path)
    moments = moments_of_log(log)
    result = LSTD(DISCOUNT).fit(moments)
    iterates = FQI(DISCOUNT, ITERATIONS).path(moments)
    return result, iterates, diagnose(moments, DISCOUNT), hc0(result, log)


def accumulated(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return covariance, cross-covariance and reward moment, as one would write them in numpy.

    Each chunk is copied out of the file once: arrays in an npz file are not aligned, and each product would copy them.
    """
    arrays = map_npz(path)
    d = arrays["features"].shape[1]
    covariance, cross, paid = np.zeros((d, d)), np.zeros((d, d)), np.zeros(d)
    for start in range(0, len(arrays["reward"]), CHUNK):
        part = slice(start, start + CHUNK)
        phi, following, reward = (np.array(arrays[name][part]) for name in ("features", "next_features", "reward"))
        covariance += phi.T @ phi
        cross += phi.T @ following
        paid += phi.T @ reward
    return covariance, cross, paid


def table_row(quick: bool = False) -> dict[str, Any]:
    """Return the row of counting a table of pairs, against group-bys of a data frame that is there already."""
    rows = 20_000 if quick else ROWS
    generator = np.random.default_rng(0)
    index, following = generator.integers(0, PAIRS, (2, rows))
    following[generator.uniform(size=rows) < 0.05] = -1
    reward = generator.normal(size=rows)
    frame = pd.DataFrame({"pair": index, "next_pair": following, "reward": reward})

    def grouped() -> tuple[Any, Any]:
        return frame.groupby(["pair", "next_pair"]).size(), frame.groupby("pair")["reward"].sum()

    rates = rates_in_turns(
        lambda: moments_of_table(index, following, reward, PAIRS), grouped, (float(rows), float(rows)), quick
    )
    case = f"moments of a table; {rows:,} rows, {PAIRS} pairs"
    return timing("ope", case, "transitions/s", rates, "pandas group-by", 5.0)


def write_log(path: Path, rows: int, features: int) -> None:
    """Write an npz file of features that shrink on the way, in a little memory."""
    generator = np.random.default_rng(0)
    phi = generator.normal(size=(min(rows, WRITTEN), features))
    following = 0.7 * phi + 0.5 * generator.normal(size=phi.shape)
    reward = phi @ generator.normal(size=features) / features**0.5 + generator.normal(size=len(phi))
    arrays = {"features": phi, "next_features": following, "reward": reward}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, block in arrays.items():
            head = {"descr": "<f8", "fortran_order": False, "shape": (rows, *block.shape[1:])}
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array_header_1_0(member, head)
                for start in range(0, rows, len(block)):
                    member.write(np.ascontiguousarray(block[: rows - start]).data)
        with archive.open("initial_features.npy", "w") as member:
            np.lib.format.write_array(member, np.ones((1, features)))
