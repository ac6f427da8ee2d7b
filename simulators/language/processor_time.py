"""What grading costs: the CPU time of a process and of all that it started."""

import resource


def processor_seconds() -> float:
    """Return the CPU-seconds of this process, its threads, and of the processes that it and they have waited for."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in usages)
