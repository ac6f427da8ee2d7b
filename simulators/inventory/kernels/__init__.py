"""Whole rollouts and single steps of inventory worlds, compiled by numba (extra ``fast``)."""
