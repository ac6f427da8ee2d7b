"""Programs that run in an environment of their own, where a peer's package is installed; they know nothing of ours.

Each says ``ready``, and then, for every line that it reads, does one turn of work and prints its units and CPU-seconds.
"""
