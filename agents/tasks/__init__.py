"""Supervised tasks: what solves them exactly, such as the networks of maximum margin."""
