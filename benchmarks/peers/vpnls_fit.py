"""vpnls (Apache-2.0 licence, Open-Athena/vpnls): fits of one table of runs; says the CPU-seconds and the objective."""

import sys
import time

import numpy as np
from vpnls.api import fit_vpnls, huber

runs = np.load(sys.argv[1])
delta = float(sys.argv[2])
print("ready", flush=True)
for line in sys.stdin:
    loss, method = line.split()
    settings = {"method": method, "loss": huber(delta) if loss == "huber" else None}
    found = fit_vpnls(runs["N"], runs["D"], runs["L"], **settings)  # what is cached
    best = float("inf")
    for _ in range(5):
        start = time.process_time()
        found = fit_vpnls(runs["N"], runs["D"], runs["L"], **settings)
        best = min(best, time.process_time() - start)
    print(best, repr(float(found.loss_value)), flush=True)
