"""Exact solvers: known optima of classical problems, to hold simulators and learned policies against."""
