"""DynaPlex (MIT licence, package ``dynaplex``): a base-stock policy on Zipkin's lost-sales problem, compiled engine."""

import sys
import time

from dynaplex import DiscreteDist, PolicyComparer
from dynaplex.models.lost_sales import BaseStockPolicy, LostSalesMDP

LEAD_TIME, SHORTAGE, MEAN, LEVEL = 4, 4.0, 5.0, 25
TRAJECTORIES, WARM_UP, PERIODS = 4096, 100, 1000

problem = LostSalesMDP(p=SHORTAGE, h=1.0, leadtime=LEAD_TIME, demand_dist=DiscreteDist.poisson(MEAN))
policy = BaseStockPolicy(problem, LEVEL)
settings = {"number_of_trajectories": TRAJECTORIES, "warmup_time": WARM_UP, "horizon": PERIODS, "workers": 1}
comparer = PolicyComparer(problem, **settings)
print("ready", comparer.assess(policy).mean, problem.max_order_size, flush=True)  # compiled now
for _ in sys.stdin:
    start = time.process_time()
    comparer.assess(policy)
    print(TRAJECTORIES * (WARM_UP + PERIODS), time.process_time() - start, flush=True)
