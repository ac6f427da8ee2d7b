"""Grading a file of completions: the run, its statistics and its report."""
