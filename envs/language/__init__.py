"""Choosing or writing a completion as Gymnasium environments."""
