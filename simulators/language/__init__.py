"""Completions of a language model: files, tasks, how answers are graded, and the bandit of choosing one."""
